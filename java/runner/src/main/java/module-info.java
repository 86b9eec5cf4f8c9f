/**
 * Runs language models: model files, tokenizers, sessions, decoding, and the command line.
 *
 * <p>The tokenizer and chart libraries are modules by their manifests' names only, which are
 * stable.
 */
@SuppressWarnings("requires-automatic")
module dev.sylvester.runner {
  requires ai.djl.tokenizers;
  requires com.fasterxml.jackson.databind;
  requires dev.sylvester.cuda;
  requires transitive dev.sylvester.kernels;
  requires info.picocli;
  requires java.desktop;
  requires java.net.http;
  requires me.tongfei.progressbar;
  requires org.knowm.xchart;

  exports dev.sylvester.runner;
  exports dev.sylvester.runner.adapt;
  exports dev.sylvester.runner.diffusion;
  exports dev.sylvester.runner.format;
  exports dev.sylvester.runner.hub;
  exports dev.sylvester.runner.text;

  opens dev.sylvester.runner.cli to
      info.picocli;
  opens dev.sylvester.runner.eval to
      com.fasterxml.jackson.databind;
}
