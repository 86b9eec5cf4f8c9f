package dev.sylvester.runner;

import dev.sylvester.runner.layers.PackedAdapter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Adapters of one model, ready to be used, within a number of bytes: sessions change between them
 * without the model being loaded again. Those that were not used for longest make room for others
 * and are read again when they are asked for. What a session uses stays as it was, whatever happens
 * to the bank, and its memory is freed when nobody uses it any more. Thread-safe.
 *
 * <pre>{@code
 * AdapterBank bank = new AdapterBank(model, 64 << 20);
 * session.adapt(bank.mix(List.of(Adapter.parse("sums:0.7"), Adapter.parse("style:-0.3"))));
 * ...
 * session.adapt(AdapterMix.NONE);
 * }</pre>
 */
public final class AdapterBank {
  private final Model model;
  private final long mostBytes;
  // From the one that was not used for longest.
  private final Map<Path, PackedAdapter> packed = new LinkedHashMap<>();
  private long bytes;

  /**
   * An empty bank.
   *
   * @param mostBytes of the packed adapters that it holds
   */
  public AdapterBank(Model model, long mostBytes) {
    if (mostBytes < 1) {
      throw new IllegalArgumentException(
          "mostBytes is %d, must be at least 1".formatted(mostBytes));
    }
    this.model = model;
    this.mostBytes = mostBytes;
  }

  /**
   * The sum of some adapters, of which those are read that the bank does not hold.
   *
   * @throws IllegalArgumentException when one does not fit the model, or the bank
   * @throws dev.sylvester.runner.format.ModelFormatException when one is malformed
   */
  public synchronized AdapterMix mix(List<Adapter> adapters) {
    List<PackedAdapter> found = new ArrayList<>();
    for (Adapter adapter : adapters) {
      Path path = adapter.folder();
      PackedAdapter held = packed.get(path);
      found.add(held == null ? model.pack(path) : held);
      keep(path, found.getLast());
    }
    return model.mix(adapters, found);
  }

  /**
   * Reads an adapter whose file has changed, and then has it take the place of what the bank holds:
   * as a whole or, when it is refused, not at all.
   *
   * @throws IllegalArgumentException when it does not fit the model, or the bank
   * @throws dev.sylvester.runner.format.ModelFormatException when it is malformed
   */
  public void reload(Path adapter) {
    PackedAdapter fresh = model.pack(adapter);
    keep(adapter, fresh);
  }

  /** Forgets an adapter, if the bank holds it. */
  public synchronized void drop(Path adapter) {
    PackedAdapter held = packed.remove(adapter);
    bytes -= held == null ? 0 : held.bytes();
  }

  /** What it holds. */
  public synchronized Set<Path> adapters() {
    return Set.copyOf(packed.keySet());
  }

  /** Size of what it holds. */
  public synchronized long bytes() {
    return bytes;
  }

  private synchronized void keep(Path adapter, PackedAdapter of) {
    if (of.bytes() > mostBytes) {
      throw new IllegalArgumentException(
          "adapter %s takes %,d bytes, the bank holds %,d"
              .formatted(adapter, of.bytes(), mostBytes));
    }
    drop(adapter);
    packed.put(adapter, of);
    bytes += of.bytes();
    while (bytes > mostBytes) {
      drop(packed.keySet().iterator().next());
    }
  }
}
