package dev.sylvester.kernels.internal;

import dev.sylvester.kernels.Sylvester;

/** A process of its own that loads the library and says what it found. */
final class DescribeMain {
  private DescribeMain() {}

  public static void main(String[] args) {
    System.out.println(Sylvester.describe().text());
  }
}
