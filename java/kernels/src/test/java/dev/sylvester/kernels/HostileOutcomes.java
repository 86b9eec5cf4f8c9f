package dev.sylvester.kernels;

import static org.assertj.core.api.Assertions.assertThat;

/** How many of the calls with any arguments returned, and how many refused them. */
public final class HostileOutcomes {
  private int returned;
  private int refused;

  public void reset() {
    returned = 0;
    refused = 0;
  }

  /** Runs a call that may refuse its arguments in one of the documented ways, then a check. */
  public void run(Runnable call, Runnable check) {
    try {
      call.run();
      returned++;
    } catch (SylvesterException | IllegalStateException | NullPointerException e) {
      assertThat(e.getMessage()).isNotBlank();
      refused++;
    } finally {
      check.run();
    }
  }

  /** Of so many tries there were enough of both. */
  public void assertBoth(int tries) {
    assertThat(returned).as("calls that returned").isGreaterThan(tries / 20);
    assertThat(refused).as("calls that were refused").isGreaterThan(tries / 20);
  }
}
