package dev.sylvester.runner.cli;

import dev.sylvester.runner.Generation;
import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Sampler;
import dev.sylvester.runner.SavedSession;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.Speculator;
import dev.sylvester.runner.text.Message;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "chat",
    description = "Talk to a model; one line is one turn.",
    footer = {
      "",
      "Lines come from stdin, a terminal or a pipe; /exit or the end of input ends the chat. What"
          + " was",
      "said stays in the cache: a turn reads only its new tokens. --save keeps a chat with its"
          + " packed",
      "cache when it ends, and --resume goes on with it, --system and --kv included, without"
          + " reading",
      "it again.",
      "",
      "Examples:",
      "  sylvester chat -m smollm2 --system 'You answer in one sentence.'",
      "  printf 'Hello!\\nWhat did I say?\\n' | sylvester chat -m smollm2",
      "  sylvester chat -m smollm2 --draft ngram",
      "  sylvester chat -m smollm2 --kv best --save talk.kv",
      "  sylvester chat -m smollm2 --resume talk.kv --save talk.kv"
    })
final class ChatCommand implements Callable<Integer> {
  private final Main main;

  @Mixin private ModelArguments model;
  @Mixin private SamplerArguments sampler;
  @Mixin private SpecArguments spec;

  @Option(
      names = {"-n", "--max-tokens"},
      paramLabel = "N",
      defaultValue = "512",
      description = "Most tokens of one answer. Default: 512.")
  private int maxTokens;

  @Option(
      names = "--system",
      paramLabel = "TEXT",
      description = "What the model is told before the first turn.")
  private String system;

  @Option(
      names = "--save",
      paramLabel = "FILE",
      description = "Write the chat and its packed cache here at the end.")
  private Path save;

  @Option(
      names = "--resume",
      paramLabel = "FILE",
      description = "Go on with a chat that was saved with the same model.")
  private Path resume;

  ChatCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    Sampler choice = sampler.sampler();
    if (resume == null) {
      try (Model opened = model.open();
          Session session = opened.newSession()) {
        List<Message> messages = new ArrayList<>();
        if (system != null) {
          messages.add(new Message("system", system));
        }
        chat(opened, session, choice, messages);
      }
      return 0;
    }
    if (system != null) {
      throw new IllegalArgumentException("--resume brings its own --system");
    }
    try (SavedSession saved = SavedSession.open(resume);
        Model opened = model.openFor(saved);
        Session session = saved.resume(opened)) {
      chat(opened, session, choice, saved.messages());
    }
    return 0;
  }

  private void chat(Model opened, Session session, Sampler choice, List<Message> messages)
      throws IOException {
    if (save != null && session.cache().floats()) {
      throw new IllegalArgumentException("--save needs a packed cache, for example --kv q8");
    }
    try (Drafting drafting = spec.open(opened, choice);
        Speculator speculator = spec.speculator(drafting, session)) {
      talk(session, speculator, choice, messages);
    }
    main.out.println();
    if (save != null) {
      session.save(save, messages);
    }
  }

  private void talk(Session session, Speculator speculator, Sampler choice, List<Message> messages)
      throws IOException {
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(main.in, StandardCharsets.UTF_8));
    while (true) {
      print("> ");
      String line = lines.readLine();
      if (line == null || line.strip().equals("/exit")) {
        break;
      }
      if (!line.isBlank()) {
        messages.add(new Message("user", line.strip()));
        messages.add(new Message("assistant", answer(session, speculator, choice, messages)));
      }
    }
  }

  private String answer(
      Session session, Speculator speculator, Sampler choice, List<Message> messages) {
    Model opened = session.model();
    GenerationRequest request =
        GenerationRequest.of(opened, ChatPrompt.tokens(opened, messages), maxTokens)
            .withSampler(choice)
            .withStream(this::print);
    Generation generation =
        speculator == null ? session.generate(request) : speculator.generate(request);
    String rates = Text.rates(generation, opened.cacheBytesPerToken());
    if (speculator != null) {
      rates += "; " + Text.speculation(speculator.stats());
    }
    main.out.println();
    main.out.println("[" + rates + "]");
    return generation.text();
  }

  private void print(String piece) {
    main.out.print(piece);
    main.out.flush();
  }
}
