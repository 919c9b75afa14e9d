"""transformers: 37 classes of models with tiny configurations, with fused and with written-out attention where both exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers

from benchmarks.coverage.measure import Subject
from benchmarks.coverage.torch_subject import draw, torch_subject

TEXT: Mapping[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 61, "max_position_embeddings": 40,
    "use_cache": False, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}
GPT: Mapping[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 61, "n_positions": 40, "use_cache": False, "bos_token_id": 1, "eos_token_id": 2}
GROUPED: Mapping[str, Any] = {**TEXT, "num_key_value_heads": 2, "head_dim": 8}
IMAGE: Mapping[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "image_size": 32, "patch_size": 8,
}
PAIR: Mapping[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48, "vocab_size": 61, "max_position_embeddings": 40, "use_cache": False, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 2, "forced_eos_token_id": 2,
}
CLIP: Mapping[str, Any] = {"text_config": {**TEXT, "projection_dim": 16}, "vision_config": IMAGE, "projection_dim": 16}

MODELS_AND_CONFIGS: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    # encoders of text
    "BertForSequenceClassification": ("BertConfig", TEXT, "ids"), "BertForMaskedLM": ("BertConfig", TEXT, "ids"),
    "RobertaForSequenceClassification": ("RobertaConfig", {**TEXT, "pad_token_id": 1}, "ids"),
    "XLMRobertaModel": ("XLMRobertaConfig", {**TEXT, "pad_token_id": 1}, "ids"),
    "DistilBertForSequenceClassification": (
        "DistilBertConfig", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "vocab_size": 61, "max_position_embeddings": 40}, "ids"),
    "AlbertForSequenceClassification": ("AlbertConfig", {**TEXT, "embedding_size": 16}, "ids"),
    "ElectraForSequenceClassification": ("ElectraConfig", {**TEXT, "embedding_size": 16}, "ids"),
    "DebertaV2ForSequenceClassification": (
        "DebertaV2Config", {**TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}, "ids"),
    "MPNetForSequenceClassification": ("MPNetConfig", {**TEXT, "pad_token_id": 1}, "ids"),
    "RoFormerForSequenceClassification": ("RoFormerConfig", {**TEXT, "embedding_size": 32}, "ids"),
    "ModernBertForSequenceClassification": ("ModernBertConfig", {**TEXT, "cls_token_id": 1, "sep_token_id": 2, "global_attn_every_n_layers": 2}, "ids"),
    "MobileBertForSequenceClassification": (
        "MobileBertConfig", {**TEXT, "embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16}, "ids"),
    "FNetForSequenceClassification": ("FNetConfig", TEXT, "ids"),
    # decoders of text
    "GPT2LMHeadModel": ("GPT2Config", GPT, "ids"), "GPTNeoForCausalLM": (
        "GPTNeoConfig", {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 4,
                         "vocab_size": 61, "max_position_embeddings": 40, "use_cache": False, "bos_token_id": 1, "eos_token_id": 2}, "ids"),
    "GPTNeoXForCausalLM": ("GPTNeoXConfig", TEXT, "ids"), "GPTJForCausalLM": ("GPTJConfig", {**GPT, "rotary_dim": 4}, "ids"),
    "OPTForCausalLM": ("OPTConfig", {**TEXT, "ffn_dim": 48, "word_embed_proj_dim": 32}, "ids"),
    "BloomForCausalLM": ("BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 61, "use_cache": False}, "ids"),
    "LlamaForCausalLM": ("LlamaConfig", GROUPED, "ids"), "MistralForCausalLM": ("MistralConfig", {**GROUPED, "sliding_window": 4}, "ids"),
    "Qwen2ForCausalLM": ("Qwen2Config", GROUPED, "ids"), "Qwen3ForCausalLM": ("Qwen3Config", GROUPED, "ids"),
    "GemmaForCausalLM": ("GemmaConfig", GROUPED, "ids"), "Gemma2ForCausalLM": ("Gemma2Config", {**GROUPED, "sliding_window": 4}, "ids"),
    "PhiForCausalLM": ("PhiConfig", TEXT, "ids"), "Phi3ForCausalLM": ("Phi3Config", {k: v for k, v in GROUPED.items() if k != "head_dim"}, "ids"),
    "FalconForCausalLM": ("FalconConfig", TEXT, "ids"), "StableLmForCausalLM": ("StableLmConfig", GROUPED, "ids"),
    "MambaForCausalLM": ("MambaConfig", {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, "vocab_size": 61, "use_cache": False}, "ids"),
    # encoder and decoder
    "T5ForConditionalGeneration": (
        "T5Config", {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 61, "use_cache": False,
                     "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}, "pair"),
    "BartForConditionalGeneration": ("BartConfig", PAIR, "pair"),
    "WhisperModel": ("WhisperConfig", {**PAIR, "num_mel_bins": 8, "max_source_positions": 10, "max_target_positions": 12}, "audio pair"),
    # pictures, sound, both
    "ViTForImageClassification": ("ViTConfig", IMAGE, "image"), "DeiTForImageClassification": ("DeiTConfig", IMAGE, "image"),
    "BeitForImageClassification": ("BeitConfig", {**IMAGE, "use_relative_position_bias": True}, "image"),
    "Dinov2ForImageClassification": ("Dinov2Config", IMAGE, "image"),
    "SwinForImageClassification": (
        "SwinConfig", {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}, "image"),
    "ConvNextForImageClassification": (
        "ConvNextConfig", {"num_stages": 2, "hidden_sizes": [8, 16], "depths": [1, 1], "patch_size": 4, "image_size": 32}, "image"),
    "ResNetForImageClassification": ("ResNetConfig", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}, "image"),
    "SegformerForSemanticSegmentation": (
        "SegformerConfig", {"num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1], "hidden_sizes": [16, 32], "patch_sizes": [7, 3],
                            "strides": [4, 2], "num_attention_heads": [1, 2], "mlp_ratios": [2, 2], "decoder_hidden_size": 16}, "image"),
    "CLIPModel": ("CLIPConfig", CLIP, "image and ids"), "SiglipModel": ("SiglipConfig", CLIP, "image and ids"),
    "CLIPVisionModelWithProjection": ("CLIPVisionConfig", {**IMAGE, "projection_dim": 16}, "image"),
    "CLIPTextModelWithProjection": ("CLIPTextConfig", {**TEXT, "projection_dim": 16}, "ids"), "SiglipVisionModel": ("SiglipVisionConfig", IMAGE, "image"),
    "Wav2Vec2ForSequenceClassification": (
        "Wav2Vec2Config", {**TEXT, "conv_dim": [16, 16], "conv_kernel": [10, 3], "conv_stride": [5, 2], "num_conv_pos_embeddings": 4,
                           "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 16, "apply_spec_augment": False}, "sound"),
}
"""Class -> (configuration, its settings, what the model takes)."""

NO_CHOICE = frozenset({"MambaForCausalLM", "FNetForSequenceClassification", "ConvNextForImageClassification", "ResNetForImageClassification"})
"""Models without attention."""


def _both(name: str) -> list[str]:
    kind = getattr(transformers, name)
    if name in NO_CHOICE:
        return [name]
    return [f"{name}/{how}" for how in ("sdpa", "eager") if how == "eager" or getattr(kind, "_supports_sdpa", False)]


MODELS = dict.fromkeys(one for name in MODELS_AND_CONFIGS for one in _both(name))


def subject(name: str) -> Subject:
    """The model in float64; it casts to float32 on the way itself."""
    kind, _, how = name.partition("/")
    config_kind, settings, takes = MODELS_AND_CONFIGS[kind]
    torch.manual_seed(0)
    config = getattr(transformers, config_kind)(**settings)
    model = getattr(transformers, kind)._from_config(config, **({"attn_implementation": how} if how else {}))
    model.generation_config = None
    g = torch.Generator().manual_seed(3)
    ids = torch.randint(3, 61, (2, 7), generator=g)
    inputs: dict[str, Any] = {
        "ids": lambda: {"input_ids": ids}, "pair": lambda: {"input_ids": ids, "decoder_input_ids": ids.flip(1)[:, :5]},
        "audio pair": lambda: {"input_features": draw(8, 20), "decoder_input_ids": ids[:, :5]}, "image": lambda: {"pixel_values": draw(3, 32, 32)},
        "image and ids": lambda: {"input_ids": ids, "pixel_values": draw(3, 32, 32)}, "sound": lambda: {"input_values": draw(200)},
    }[takes]()
    if all(not v.is_floating_point() for v in inputs.values()):
        leaf = _first_embedding(model, inputs)
        return torch_subject(model, inputs, leaf=leaf, float32=True)
    return torch_subject(model, inputs, float32=True)


def _first_embedding(model: torch.nn.Module, inputs: Mapping[str, Any]) -> str:
    """The path of the table of tokens that is looked up first; one that is shared has several paths."""
    called: list[str] = []
    tables = [(n, m) for n, m in model.named_modules(remove_duplicate=False) if isinstance(m, torch.nn.Embedding) and m.num_embeddings >= 61]
    handles = [m.register_forward_hook(lambda *_, n=n: called.append(n)) for n, m in tables]
    with torch.no_grad():
        model.eval()(**inputs)
    for handle in handles:
        handle.remove()
    return called[0]
