"""Writes chat_templates/rendered.json: what transformers renders from the templates in chat_templates/.

The templates are ours; they use what the templates of the model families use, and more.
Usage: python tests/golden/make_chat_templates.py
"""

import json
from pathlib import Path

import jinja2
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent / "chat_templates"

USER = {"role": "user", "content": "  What is 2 + 2?\n"}
ASSISTANT = {"role": "assistant", "content": "<think>\nTwo and two\nis four.\n</think>\n\nIt is 4. \t\n"}
SYSTEM = {"role": "system", "content": " Be brief. {{ bos_token }} {% raw %} \n"}
NASTY = {"role": "user", "content": "\"quotes\" \\ back <|im_end|> <b>&amp; 🇩🇪👩‍👩‍👧 é\u2028 {{ 7 * 7 }} {# no #}\r\n\ttab"}

CONVERSATIONS = {
    "user": [USER],
    "system": [SYSTEM, USER],
    "turns": [USER, ASSISTANT, NASTY],
    "system-turns": [SYSTEM, NASTY, ASSISTANT, USER, ASSISTANT],
    "two-users": [USER, NASTY],
    "tool": [USER, ASSISTANT, {"role": "tool", "content": "4"}, {"role": "tool", "content": "four"}, USER],
    "empty": [{"role": "user", "content": ""}],
}


def main():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>")
    cases = []
    for template in sorted(HERE.glob("*.jinja")):
        for name, messages in CONVERSATIONS.items():
            for prompt in (False, True):
                case = {"template": template.name, "conversation": name, "add_generation_prompt": prompt}
                try:
                    case["text"] = tokenizer.apply_chat_template(
                        messages, chat_template=template.read_text(), tokenize=False, add_generation_prompt=prompt)
                except jinja2.TemplateError as error:
                    case["error"] = str(error)
                cases.append(case)
    result = {"bos_token": "<s>", "eos_token": "</s>", "conversations": CONVERSATIONS, "cases": cases}
    (HERE / "rendered.json").write_text(json.dumps(result, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
