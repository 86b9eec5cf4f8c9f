package dev.sylvester.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;

/**
 * Whatever the arguments are, a call returns or throws, and never touches a byte outside the
 * segments it was given: they end at a guard page, so that a wrong call ends the process.
 */
abstract class HostileCalls {
  static final int TRIES = 5000;

  private static final ThreadPool POOL = ThreadPool.of(2);

  private static int returned;
  private static int refused;

  @BeforeProperty
  void reset() {
    returned = 0;
    refused = 0;
  }

  @AfterProperty
  void goodAndBadCallsWereMade() {
    assertThat(returned).as("calls that returned").isGreaterThan(TRIES / 20);
    assertThat(refused).as("calls that were refused").isGreaterThan(TRIES / 20);
  }

  /** Runs a call that may refuse its arguments in one of the documented ways. */
  static void survive(Runnable call) {
    try {
      call.run();
      returned++;
    } catch (SylvesterException | IllegalStateException | NullPointerException e) {
      assertThat(e.getMessage()).isNotBlank();
      refused++;
    } finally {
      Chance.checkRegions();
    }
  }

  static ThreadPool pool(Chance chance) {
    return chance.coin() ? POOL : null;
  }
}
