"""The tokenizer: word pieces of the vocabulary that reports use."""

from collections import Counter
from collections.abc import Iterable

from transformers import PreTrainedTokenizerFast

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789.,;:%()/-+&'<>=?!*"
_WORD_SHARE = 0.7


def train_tokenizer(texts: Iterable[str], vocab_size: int = 4096, max_length: int = 96) -> PreTrainedTokenizerFast:
    """A lower-case WordPiece tokenizer; the same texts always give the same one.

    Args:
        texts: reports and label phrases, any language; accents are stripped.
        vocab_size: at most that many pieces.
        max_length: word pieces after which a text is cut when truncation is asked for.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    pieces = _SPECIAL + _pieces(words, vocab_size - len(_SPECIAL))
    tokenizer = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
    )


def _pieces(words: Counter[str], size: int) -> list[str]:
    """Characters, then frequent words, then the beginnings and endings that cover most of the others.

    The trainer of the `tokenizers` library breaks ties by hash order, so no two of its runs agree.
    """
    letters = list(_ALPHABET)
    pieces = dict.fromkeys([*letters, *(f"##{letter}" for letter in letters)])
    frequent = sorted((word for word, count in words.items() if count > 1), key=lambda word: (-words[word], word))
    for word in frequent[: max(0, int(_WORD_SHARE * size))]:
        pieces[word] = None
    parts: Counter[str] = Counter()
    for word, count in words.items():
        if word not in pieces:
            for cut in range(2, len(word) - 1):
                parts[word[:cut]] += count * cut
                parts["##" + word[cut:]] += count * (len(word) - cut)
    for part in sorted(parts, key=lambda part: (-parts[part], part)):
        pieces[part] = None
    return list(pieces)[:size]


__all__ = ["train_tokenizer"]
