package dev.sylvester.runner.cli;

import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** A progress bar on stderr where that is a terminal; silent elsewhere. */
final class TerminalProgress implements Progress, AutoCloseable {
  private static final long MEBIBYTE = 1 << 20;

  private final String task;
  private final String unit;
  private final long unitSize;
  private final boolean visible = isTerminal(2);
  private ProgressBar bar;

  private TerminalProgress(String task, String unit, long unitSize) {
    this.task = task;
    this.unit = unit;
    this.unitSize = unitSize;
  }

  /** Of bytes. */
  static TerminalProgress start(String task) {
    return new TerminalProgress(task, "MiB", MEBIBYTE);
  }

  /** Of things. */
  static TerminalProgress counting(String task, String things) {
    return new TerminalProgress(task, things, 1);
  }

  /** Java can tell this of stdin and stdout together only. */
  static boolean isTerminal(int descriptor) {
    try {
      String target = Files.readSymbolicLink(Path.of("/proc/self/fd/" + descriptor)).toString();
      return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
    } catch (IOException e) {
      return System.console() != null && System.console().isTerminal();
    }
  }

  @Override
  public void update(long done, long total) {
    if (!visible) {
      return;
    }
    if (bar == null) {
      bar =
          new ProgressBarBuilder()
              .setTaskName(task)
              .setStyle(ProgressBarStyle.ASCII)
              .setUnit(" " + unit, unitSize)
              .setInitialMax(total)
              .setUpdateIntervalMillis(200)
              .build();
    }
    bar.maxHint(total);
    bar.stepTo(done);
  }

  @Override
  public void close() {
    if (bar != null) {
      bar.close();
    }
  }
}
