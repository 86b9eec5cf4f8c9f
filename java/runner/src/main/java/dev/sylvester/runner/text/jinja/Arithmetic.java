package dev.sylvester.runner.text.jinja;

/** Python's numbers: exact integers (here of 64 bits), floor division, modulo of its sign. */
final class Arithmetic {
  private Arithmetic() {}

  static Object apply(String operator, Object a, Object b) {
    Values.require(a);
    Values.require(b);
    if (!Values.isNumber(a) || !Values.isNumber(b)) {
      throw new TemplateException(
          "cannot apply " + operator + " to " + Values.typeName(a) + " and " + Values.typeName(b));
    }
    try {
      return Values.isFloat(a) || Values.isFloat(b) || operator.equals("/")
          ? (Object) ofFloats(operator, Values.toDouble(a), Values.toDouble(b))
          : ofIntegers(operator, Values.toLong(a), Values.toLong(b));
    } catch (ArithmeticException e) {
      throw new TemplateException("the result of " + operator + " is not a number");
    }
  }

  private static Object ofIntegers(String operator, long a, long b) {
    return switch (operator) {
      case "+" -> Math.addExact(a, b);
      case "-" -> Math.subtractExact(a, b);
      case "*" -> Math.multiplyExact(a, b);
      case "//" -> Math.floorDivExact(a, b);
      case "%" -> Math.floorMod(a, b);
      default -> b < 0 ? (Object) Math.pow(a, b) : power(a, b);
    };
  }

  private static long power(long a, long b) {
    long result = 1;
    long square = a;
    for (long rest = b; rest > 0; rest >>= 1) {
      if ((rest & 1) == 1) {
        result = Math.multiplyExact(result, square);
      }
      if (rest > 1) {
        square = Math.multiplyExact(square, square);
      }
    }
    return result;
  }

  private static double ofFloats(String operator, double a, double b) {
    if (b == 0 && "/ // %".contains(operator)) {
      throw new ArithmeticException("division by zero");
    }
    return switch (operator) {
      case "+" -> a + b;
      case "-" -> a - b;
      case "*" -> a * b;
      case "/" -> a / b;
      case "//" -> Math.floor(a / b);
      case "%" -> a - b * Math.floor(a / b);
      default -> Math.pow(a, b);
    };
  }
}
