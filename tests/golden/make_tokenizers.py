"""Writes tokenizers/: small vocabularies of each kind as tokenizer.json and as GGUF, and what other people's code makes of texts.

Byte-level vocabularies are trained and run by tokenizers, with the parts that the model families' own tokenizer.json has; the
SentencePiece vocabulary by sentencepiece, converted by transformers. llama.cpp reads every GGUF file and has to agree, but for what
DIFFERENCES tells.
Usage: python tests/golden/make_tokenizers.py SmolLM2-135M-Instruct.Q4_1.gguf
"""

import hashlib
import io
import json
import random
import struct
import sys
from pathlib import Path

import gguf
import numpy as np
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.convert_slow_tokenizer import generate_merges

from llama_cpp import LlamaCpp

HERE = Path(__file__).parent / "tokenizers"
PROBLEMS = Path(__file__).parents[2] / "models" / "gsm-mini" / "train.jsonl"
SEED = 7

LETTERS_AND_DIGITS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
                      r"|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def split_then_bytes(expression):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(expression), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


# name: (pre-tokenizer in GGUF, pre-tokenizer, normalizer, ignore_merges, add_bos_token and add_eos_token in GGUF)
BYTE_LEVEL = {
    "gpt2": ("gpt-2", pre_tokenizers.ByteLevel(add_prefix_space=False), None, False, None, True),
    "smollm": ("smollm", pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), None, False, False, None),
    "llama-bpe": ("llama-bpe", split_then_bytes(LETTERS_AND_DIGITS % "{1,3}"), None, True, None, None),
    "qwen2": ("qwen2", split_then_bytes(LETTERS_AND_DIGITS % ""), normalizers.NFC(), False, False, False),
    "tekken": ("tekken", split_then_bytes(TEKKEN), None, True, True, False),
    # No model's own tokenizer.json stands behind this one: llama.cpp is the reference.
    "default": ("default", pre_tokenizers.ByteLevel(add_prefix_space=False), None, False, False, None),
}

# A token that no merge leads to.
WHOLE_WORD = "antidisestablishmentarianism"
BOS, EOS, CONTROL, DEFINED = "<|begin|>", "<|im_end|>", "<|im_start|>", "<tool_call>"

TEXTS = [
    "", " ", "  ", "\n", "\r\n", "\t", "a", " a", "a ", "\u0000", "\u0000a\u0000",
    "Hello, world! It's 3.14159 o'clock; they'll've been here, I'D say, WE'RE done, and he'S too.",
    "'s 't 're 've 'm 'll 'd 'S 'T 'RE x's 's's \u2019s ' s 'ſ",
    "1 12 123 1234 12345 1234567890 007 3,141,592.65 1e-10 0x1F ½ ² Ⅷ ٣٤٥ १२३ 一二三",
    "a1b22c333d4444 1a 22b v2.0.1 2024-12-31T23:59:59Z",
    "   leading and trailing   ", "two  three   four    five     spaces", "tabs\t\tand \t mixed \t\t",
    "line one\nline two\n\nline four\n\n\n\n   indented\n\t\ttabbed\n ", "windows\r\nlines\r\n\r\nand\rmac\n\r",
    "trailing spaces before newline   \nnext", "no\u00a0break \u2003em\u2003space \u200bzero\u200bwidth \u3000ideographic \ufeffbom",
    "café cafe\u0301 naïve naI\u0308ve Å A\u030a ﬁ ﬂ ǆ ΐ ϊ\u0301",
    "Ünïcödé ẞß İı ſ K Å Ω", "Привет, мир! Ёлка. Съешь же ещё этих мягких французских булок",
    "Ελληνικά: ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία", "שלום עולם, בְּרֵאשִׁית", "مرحبا بالعالم، السَّلَامُ عَلَيْكُمْ ١٢٣",
    "नमस्ते दुनिया क्षत्रिय", "สวัสดีชาวโลก ไม่มีช่องว่าง", "你好，世界！漢字とかなカタカナ混じり文。한국어 조선말",
    "ༀམཎིཔདྨེཧཱུྃ ᚠᛇᚻ 𐌰𐌹 𝕳𝖊𝖑𝖑𝖔 𝟘𝟙𝟚 𠜎𠜱",
    "😀😃 👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️ ☺ ☺️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ⃣1️⃣", "e\u0301\u0302\u0303 \u0301alone Z̷̢̛a̴l̵g̶o̷",
    "\ud7ff\ue000\ufffd\uffff \U0010ffff \u0085\u2028\u2029",
    "if (x != 0) { return a[i++] << 2 | ~b; } // C++ && <html> $100 50% #tag @user ^_^ `code` \\n \"q\" …—–",
    "def f(x):\n    return {'a': [1, 2, 3], \"b\": None}\n\n\nclass A:\n\tpass\n",
    "https://example.org/a_b-c?d=e%20f&g=1#h user@example.com /usr/local/bin C:\\Windows\\System32",
    "snake_case camelCase PascalCase SCREAMING_CASE kebab-case ALLCAPSword wordALLCAPS iPhone McDonald O'Neill",
    f"{WHOLE_WORD} {WHOLE_WORD}s {WHOLE_WORD.upper()} x{WHOLE_WORD}",
    f"{CONTROL}user\nhi{EOS}\n{CONTROL}assistant\n", f"{EOS}", f"{EOS}{EOS} {EOS}", f"a{EOS}b {CONTROL} c", f"{BOS}{BOS}x",
    "<|im_end <|im_end| |> <|im_end|", f"{DEFINED}{{}}</tool_call> {DEFINED} x", "<unk> <s> </s> <0x41> <0xE2><0x82>",
    "▁ ▁▁a _ \u2581\u2581", "Ġ Ġhello Ċ ĉ", "#version: 0.2", "\\u0041 &amp; %41",
    "the quick brown fox jumps over the lazy dog. " * 4,
    "a" * 50 + " " + "ab" * 30 + " " + "!?" * 20 + " " + "-" * 40 + " " + "=" * 17 + " " + "." * 5,
]
# 100 KB without a single space, told by what is repeated.
LONG = {"text": "abc123日本😀", "times": 100_000 // len("abc123日本😀".encode())}

# What llama.cpp does otherwise, by vocabulary: transformers is right by definition, for these are models made with it.
DIFFERENCES = {
    # No NFC, on which Qwen's own tokenizer.json insists.
    "qwen2": lambda text: normalizers.NFC().normalize_str(text) != text,
    # Case folding: (?i:'s) takes the long s, llama.cpp's [sS] does not.
    "llama-bpe": lambda text: "ſ" in text,
    # llama.cpp stands in for \p{Lu} and the like with tests of ASCII letters.
    "tekken": lambda text: any(ord(c) > 127 for c in text),
}


def training_texts():
    problems = [json.loads(line)["question"] for line in PROBLEMS.read_text().splitlines()[:400]]
    # No merges may lead to what are tokens of their own.
    plain = [text for text in TEXTS if not any(token in text for token in (BOS, EOS, CONTROL, DEFINED, WHOLE_WORD))]
    return problems + plain * 30


def gguf_file(name, arch, model, fields):
    writer = gguf.GGUFWriter(HERE / f"{name}.gguf", arch)
    writer.add_tokenizer_model(model)
    for add, value in fields:
        if value is not None:
            getattr(writer, f"add_{add}")(value)
    # Readers want a model before they look at its vocabulary.
    for add in ("context_length", "embedding_length", "block_count", "feed_forward_length"):
        getattr(writer, f"add_{add}")(2)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tensor("token_embd.weight", np.zeros((len(dict(fields)["token_list"]), 2), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def byte_level(name):
    pre, pre_tokenizer, normalizer, ignore_merges, add_bos, add_eos = BYTE_LEVEL[name]
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=640, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
                                  special_tokens=[BOS, EOS, CONTROL])
    tokenizer.train_from_iterator(training_texts(), trainer)

    data = json.loads(tokenizer.to_str())
    vocab = data["model"]["vocab"]
    vocab[WHOLE_WORD] = len(vocab)
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_tokens([AddedToken(DEFINED, normalized=False)])
    adds_bos = add_bos if add_bos is not None else pre in ("llama-bpe", "tekken")
    single = [BOS] * adds_bos + ["$A"] + [EOS] * bool(add_eos)
    if len(single) > 1:
        specials = [(token, tokenizer.token_to_id(token)) for token in (BOS, EOS)]
        tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=specials)

    tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    types = [gguf.TokenType.NORMAL] * len(tokens)
    for token in (BOS, EOS, CONTROL):
        types[tokenizer.token_to_id(token)] = gguf.TokenType.CONTROL
    types[tokenizer.token_to_id(DEFINED)] = gguf.TokenType.USER_DEFINED
    merges = [" ".join(pair) for pair in data["model"]["merges"]]
    gguf_file(name, "llama", "gpt2", [
        ("tokenizer_pre", pre), ("token_list", tokens), ("token_types", types), ("token_merges", merges),
        ("bos_token_id", tokenizer.token_to_id(BOS)), ("eos_token_id", tokenizer.token_to_id(EOS)),
        ("add_bos_token", add_bos), ("add_eos_token", add_eos)])
    return tokenizer


def sentence_piece():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for text in training_texts() if text and "\0" not in text]), model_writer=model,
        model_type="bpe", vocab_size=1000, byte_fallback=True, character_coverage=0.99, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True, user_defined_symbols=[DEFINED], control_symbols=[EOS, CONTROL],
        unk_surface="", max_sentence_length=100_000, num_threads=1, minloglevel=2)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    kinds = [(processor.is_unknown, gguf.TokenType.UNKNOWN), (processor.is_control, gguf.TokenType.CONTROL),
             (processor.is_unused, gguf.TokenType.UNUSED), (processor.is_byte, gguf.TokenType.BYTE)]
    types = []
    for i in range(processor.get_piece_size()):
        kind = next((kind for test, kind in kinds if test(i)), gguf.TokenType.NORMAL)
        types.append(gguf.TokenType.USER_DEFINED if processor.id_to_piece(i) == DEFINED else kind)
    for name, prefix in (("spm", None), ("spm-noprefix", False)):
        gguf_file(name, "llama", "llama", [
            ("token_list", [processor.id_to_piece(i) for i in range(len(types))]),
            ("token_scores", [processor.get_score(i) for i in range(len(types))]), ("token_types", types),
            ("bos_token_id", processor.bos_id()), ("eos_token_id", processor.eos_id()),
            ("unk_token_id", processor.unk_id()), ("add_space_prefix", prefix)])
    return processor, types


def converted(processor, types):
    """The SentencePiece vocabulary as transformers converts it for Llama."""
    pieces = [processor.id_to_piece(i) for i in range(len(types))]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    merges = generate_merges(vocab, {piece: processor.get_score(i) for i, piece in enumerate(pieces)})
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    added = {gguf.TokenType.UNKNOWN: True, gguf.TokenType.CONTROL: True, gguf.TokenType.USER_DEFINED: False}
    for i, kind in enumerate(types):
        if kind in added:
            token = AddedToken(processor.id_to_piece(i), normalized=False, special=added[kind])
            (tokenizer.add_special_tokens if added[kind] else tokenizer.add_tokens)([token])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single=["<s>", "$A"], special_tokens=[("<s>", processor.bos_id())])
    return tokenizer


def digest(ids):
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()


def run(name, encode, tokenizer, llama):
    """Ids of every text; llama.cpp must agree, bar DIFFERENCES."""
    cases = []
    for text in TEXTS + [LONG["text"] * LONG["times"]]:
        text = text.encode("utf-8", "replace").decode()
        for special in (False, True):
            ids = encode(text, special)
            theirs = llama.encode(text, special)
            differs = DIFFERENCES.get(name, lambda text: False)(text)
            if theirs != ids and not differs:
                raise AssertionError(f"{name}: {text[:60]!r} special={special}: {ids} here, {theirs} by llama.cpp")
            if not special:
                plain = ids
        long = len(text) > 5000
        case = {"sha256": digest(plain), "special_sha256": digest(ids)} if long else {"ids": plain, "special_ids": ids}
        if tokenizer:
            case["decoded"] = None if long else tokenizer.decode(plain, skip_special_tokens=False)
            case["decoded_text"] = None if long else tokenizer.decode(ids, skip_special_tokens=True)
        cases.append(case)
    return cases


def random_sequences(tokenizer):
    """Sequences no text leads to, and what they decode to."""
    generator = random.Random(SEED)
    size = tokenizer.get_vocab_size()
    sequences = [[generator.randrange(size) for _ in range(generator.randrange(1, 40))] for _ in range(40)]
    return [{"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
             "decoded_text": tokenizer.decode(ids, skip_special_tokens=True)} for ids in sequences]


def write(name, value):
    (HERE / f"{name}.json").write_text(json.dumps(value, separators=(",", ":"), ensure_ascii=True) + "\n")


def main():
    HERE.mkdir(exist_ok=True)
    write("texts", {"texts": TEXTS, "long": LONG})
    for name in BYTE_LEVEL:
        tokenizer = byte_level(name)
        llama = LlamaCpp(HERE / f"{name}.gguf")
        if name == "default":
            write(f"{name}.expected", {"by": "llama.cpp", "texts": run(name, llama.encode, None, llama)})
            continue
        tokenizer.save(str(HERE / f"{name}.tokenizer.json"), pretty=False)
        write(f"{name}.expected", {
            "by": "tokenizers", "random": random_sequences(tokenizer),
            "texts": run(name, lambda text, special: tokenizer.encode(text, add_special_tokens=special).ids, tokenizer, llama)})
    processor, types = sentence_piece()
    tokenizer = converted(processor, types)
    tokenizer.save(str(HERE / "spm.tokenizer.json"), pretty=False)
    for name in ("spm", "spm-noprefix"):
        llama = LlamaCpp(HERE / f"{name}.gguf")
        write(f"{name}.expected", {"by": "llama.cpp", "texts": run(name, llama.encode, tokenizer if name == "spm" else None, llama)})
    check_sentence_piece(processor, tokenizer)
    smollm2 = LlamaCpp(sys.argv[1])
    write("smollm2.expected", {"by": "llama.cpp", "texts": run("smollm2", smollm2.encode, None, smollm2)})


def check_sentence_piece(processor, tokenizer):
    """sentencepiece itself, transformers' conversion and llama.cpp are of one mind on texts without special tokens."""
    llama = LlamaCpp(HERE / "spm.gguf")
    for text in TEXTS + [LONG["text"] * LONG["times"]]:
        text = text.encode("utf-8", "replace").decode()
        ours = tokenizer.encode(text, add_special_tokens=False).ids
        if ours != llama.encode(text):
            raise AssertionError(f"transformers and llama.cpp: {text[:60]!r}")
        if not any(token in text for token in (DEFINED, CONTROL, EOS, "<s>", "</s>", "<unk>", "\0")):
            if ours != processor.encode(text):
                raise AssertionError(f"transformers and sentencepiece: {text[:60]!r}")


if __name__ == "__main__":
    main()
