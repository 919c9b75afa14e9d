"""timm: one small model for each of its 98 modules, without trained weights, on the smallest picture that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch

from benchmarks.coverage.measure import Subject
from benchmarks.coverage.torch_subject import draw, torch_subject

CLASSES = 10
SIDES = (64, 96, 128, 112)
"""Sides of the picture that are tried in turn, before the model's own; 112 is eight patches of 14."""

CHOSEN: Mapping[str, str] = {
    "beit": "beit_base_patch16_224", "byoanet": "halonet26t", "byobnet": "test_byobnet", "cait": "cait_xxs24_224", "coat": "coat_lite_tiny",
    "convit": "convit_tiny", "convmixer": "convmixer_1024_20_ks9_p14", "convnext": "test_convnext", "cpubone": "cpubone_nano", "crossvit": "crossvit_tiny_240",
    "csatv2": "csatv2", "cspnet": "cs3darknet_s", "cspnext": "cspnext_tiny", "davit": "davit_tiny", "deepseek_vit": "deepseek_vit_412m",
    "deit": "deit_tiny_distilled_patch16_224", "densenet": "densenet121", "dla": "dla34", "dpn": "dpn68", "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1", "efficientformer_v2": "efficientformerv2_s0", "efficientnet": "test_efficientnet",
    "efficientvim": "efficientvim_m1", "efficientvit_mit": "efficientvit_b0", "efficientvit_msra": "efficientvit_m0", "eva": "eva02_tiny_patch14_224",
    "fasternet": "fasternet_t0", "fastvit": "fastvit_t8", "focalnet": "focalnet_tiny_srf", "gcvit": "gcvit_xxtiny", "gemma4_vit": "gemma4_vit_167m",
    "ghostnet": "ghostnetv2_100", "hardcorenas": "hardcorenas_a", "hgnet": "hgnetv2_b0", "hiera": "hiera_tiny_224", "hieradet_sam2": "sam2_hiera_tiny",
    "hrnet": "hrnet_w18_small", "iformer": "iformer_t", "inception_next": "inception_next_atto", "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3", "inception_v4": "inception_v4", "lcnetv2": "lcnetv2_small", "levit": "levit_128s", "lowformer": "lowformer_b0",
    "mambaout": "test_mambaout", "maxxvit": "test_maxvit", "metaformer": "poolformer_s12", "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv3": "mobilenetv3_small_050", "mobilenetv5": "mobilenetv5_300m", "mobilevit": "mobilevit_xxs", "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_gap", "nasnet": "nasnetalarge", "nest": "nest_tiny", "nextvit": "nextvit_small", "nfnet": "test_nfnet",
    "pit": "pit_ti_distilled_224", "pnasnet": "pnasnet5large", "pvt_v2": "pvt_v2_b0", "qwen3_vit": "qwen3_vit_88m", "rdnet": "rdnet_tiny",
    "regnet": "regnety_002", "repghost": "repghostnet_050", "repvit": "repvit_m0_9", "res2net": "res2net50_26w_4s", "resnest": "resnest14d",
    "resnet": "seresnet18", "resnetv2": "resnetv2_18", "rexnet": "rexnet_100", "selecsls": "selecsls42", "senet": "legacy_seresnet18",
    "sequencer": "sequencer2d_s", "shvit": "shvit_s1", "sknet": "skresnet18", "starnet": "starnet_s050", "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224", "swin_transformer_v2": "swinv2_tiny_window8_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224", "tiny_vit": "tiny_vit_5m_224", "tnt": "tnt_s_patch16_224", "tresnet": "tresnet_m",
    "twins": "twins_svt_small", "vgg": "vgg11", "visformer": "visformer_tiny", "vision_transformer": "vit_tiny_patch16_224",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224", "vision_transformer_relpos": "vit_relpos_small_patch16_224",
    "vision_transformer_sam": "samvit_base_patch16_224", "vitamin": "vitamin_small_224", "volo": "volo_d1_224", "vovnet": "ese_vovnet19b_slim",
    "xception": "legacy_xception", "xception_aligned": "xception41", "xcit": "xcit_nano_12_p16_224",
}
"""Module of timm -> the model."""

LESS: Mapping[str, Mapping[str, Any]] = {
    "deepseek_vit": {"depth": 1}, "gemma4_vit": {"depth": 4}, "qwen3_vit": {"depth": 4}, "naflexvit": {"depth": 4}, "beit": {"depth": 4},
    "vision_transformer_sam": {"depth": 4, "global_attn_indexes": (1, 3)},
}
"""Settings that make a model smaller where its smallest one is slow or has more than a hundred million parameters."""

SMALLER: Mapping[str, str] = {"mobilenetv5": "mobilenetv5_base"}
"""The model of a module for the comparison of routes, which holds a model three times, where the other one would not fit in the memory limit."""

MODELS = dict.fromkeys(sorted(CHOSEN))


def subject(name: str) -> Subject:
    """The model of a module of timm with 10 classes."""
    return _subject(name, CHOSEN[name])


def compared(name: str) -> Subject:
    """The same for the comparison of routes."""
    return _subject(name, SMALLER.get(name, CHOSEN[name]))


def _subject(name: str, of: str) -> Subject:
    settings = dict(LESS.get(name, {}))
    model, side = _built(of, settings)
    reduced = ", ".join([*(f"{k}={v}" for k, v in settings.items()), *([of] if of != CHOSEN[name] else [])])
    return torch_subject(model, draw(3, side, side), reduced=reduced, of=of, side=side)


def _built(name: str, settings: dict[str, Any]) -> tuple[Any, int]:
    """The model and the smallest picture on which it runs."""
    own = int(timm.get_pretrained_cfg(name).input_size[-1])
    reason: Exception | None = None
    for side in (*(s for s in SIDES if s < own), own):
        for more in ({"img_size": side}, {}):
            try:
                model = timm.create_model(name, pretrained=False, num_classes=CLASSES, **settings, **more)
                with torch.no_grad():
                    model.eval()(draw(3, side, side))
            except Exception as error:                                  # torch has no common class for a picture that does not fit
                reason = error
                continue
            return model, side
    raise reason or ValueError(name)
