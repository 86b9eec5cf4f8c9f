package dev.sylvester.kernels;

import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;

/**
 * Whatever the arguments are, a call returns or throws, and never touches a byte outside the
 * segments it was given: they end at a guard page, so that a wrong call ends the process.
 */
abstract class HostileCalls {
  static final int TRIES = 5000;

  private static final ThreadPool POOL = ThreadPool.of(2);

  private static final HostileOutcomes OUTCOMES = new HostileOutcomes();

  @BeforeProperty
  void reset() {
    OUTCOMES.reset();
  }

  @AfterProperty
  void goodAndBadCallsWereMade() {
    OUTCOMES.assertBoth(TRIES);
  }

  /** Runs a call that may refuse its arguments in one of the documented ways. */
  static void survive(Runnable call) {
    OUTCOMES.run(call, Chance::checkRegions);
  }

  static ThreadPool pool(Chance chance) {
    return chance.coin() ? POOL : null;
  }
}
