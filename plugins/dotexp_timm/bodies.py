"""Builder of timm's models without their classifiers, and their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dotexp import Body, ComponentError, Use

from dotexp_timm.params import Pretrained, TimmBodyParams
from dotexp_timm.table import version


def build(params: TimmBodyParams) -> Body:
    """Build a timm model's body. Raises ComponentError: E213 if timm is not installed, E405 for unusable weights."""
    try:
        import timm
    except ImportError as error:
        help = "install it, as the extra `dotexp[timm]` does: pip install timm"
        raise ComponentError("`timm_body` needs timm, which is not installed", help=help, code="E213") from error
    from dotexp.sdk.weights import fill, is_file, read_tensors

    from dotexp_timm.networks import Features, cut_off, layers_of

    network = params.network
    if network.name not in timm.list_models():
        raise _version_error(f"has no model {network.name}")
    model = _make(params)
    names = set(model.state_dict())
    cut_off(model, network.output)
    layers = dict(zip(network.layer_names, layers_of(model), strict=False))
    if len(layers_of(model)) != network.layers:
        raise _version_error(f"divides {network.name} into {len(layers_of(model))} layers, not {network.layers}")
    config: Any = model.pretrained_cfg
    weights = params.weights
    if isinstance(weights, Path | Use) and is_file(weights):
        cut = [*(names - set(model.state_dict())), *_classifiers(config)]
        fill(model, read_tensors(weights), weights, cut=cut)
    body = Features(model, network.output)
    if weights is None or (isinstance(weights, Use) and not is_file(weights)):
        return Body(body, layers, network.features)
    return Body(body, layers, network.features, tuple(config["mean"]), tuple(config["std"]))


def _make(params: TimmBodyParams) -> Any:
    from dotexp_timm.networks import make_network

    sized = {} if params.image_size is None else {"img_size": params.image_size}
    if params.weights is not Pretrained.imagenet:
        return make_network(params.name, **sized)
    from dotexp.sdk.weights import first_line, inspection, unusable

    looked_at = inspection()
    if looked_at is not None and not looked_at.for_run:
        model = make_network(params.name, **sized)
        if not _is_cached(model.pretrained_cfg):
            looked_at.missing.append(f"timm's {params.name}, from the Hugging Face hub")
        return model
    try:
        return make_network(params.name, pretrained=True, **sized)
    except Exception as error:  # no network, a damaged file, a full disk: the cure is the same
        tag = params.name.partition(".")[2] or params.network.tags[0]
        repository = f"timm/{params.network.name}.{tag}"
        raise unusable(
            f"timm's weights {repository} are not on this machine and cannot be downloaded: {first_line(error)}",
            f"fetch model.safetensors of {repository} from the Hugging Face hub where there is a network, and give it "
            'as weights = "…/model.safetensors"',
        ) from error


def _is_cached(config: Any) -> bool:
    """Return whether a model's published weights are in the cache of the Hugging Face hub."""
    from huggingface_hub import try_to_load_from_cache

    repository = config.get("hf_hub_id")
    names = ("model.safetensors", "pytorch_model.bin")
    return bool(repository) and any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)


def _classifiers(config: Any) -> tuple[str, ...]:
    """Return the module paths of a model's classifiers."""
    named = config["classifier"] or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _version_error(what: str) -> ComponentError:
    import timm

    message = f"timm {timm.__version__} {what}; dotexp knows the models of timm {version()}"
    return ComponentError(message, field="name", help=f"install timm {version()}, or name another model", code="E213")
