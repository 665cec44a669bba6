"""Bodies: timm's models with the classifier cut off, and their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dotexp import Body, ComponentError, Use

from dotexp_timm.params import Pretrained, TimmBodyParams
from dotexp_timm.table import version


def build(params: TimmBodyParams) -> Body:
    """Build a timm model's body. Raises ComponentError where timm is missing (E213) or the weights are not right."""
    try:
        import timm
    except ImportError as error:
        help = "install it beside dotexp, as the extra `dotexp[timm]` does: pip install timm"
        raise ComponentError("`timm_body` needs timm, which is not installed", help=help, code="E213") from error
    from dotexp_timm.networks import Features, cut_off, layers_of

    network = params.network
    if network.name not in timm.list_models():
        raise _another(f"has no model {network.name}")
    model = _make(params)
    names = set(model.state_dict())
    cut_off(model, network.output)
    layers = dict(zip(network.layer_names, layers_of(model), strict=False))
    if len(layers_of(model)) != network.layers:
        raise _another(f"divides {network.name} into {len(layers_of(model))} layers, not {network.layers}")
    config: Any = model.pretrained_cfg
    if isinstance(params.weights, Path):
        from dotexp.sdk.weights import fill, read_tensors

        cut = [*(names - set(model.state_dict())), *_classifiers(config)]
        fill(model, read_tensors(params.weights), str(params.weights), cut=cut)
    body = Features(model, network.output)
    if params.weights is None or isinstance(params.weights, Use):
        return Body(body, layers, network.features)
    return Body(body, layers, network.features, tuple(config["mean"]), tuple(config["std"]))


def _make(params: TimmBodyParams) -> Any:
    from dotexp_timm.networks import make_network

    sized = {} if params.image_size is None else {"img_size": params.image_size}
    if params.weights is not Pretrained.imagenet:
        return make_network(params.name, **sized)
    from dotexp.sdk.weights import first_line, unusable

    try:
        return make_network(params.name, pretrained=True, **sized)
    except Exception as error:  # no network, a damaged file, a full disk: one way forward for all
        tag = params.name.partition(".")[2] or params.network.tags[0]
        repository = f"timm/{params.network.name}.{tag}"
        raise unusable(
            f"timm's weights {repository} are not on this machine and cannot be downloaded: {first_line(error)}",
            f"fetch model.safetensors of {repository} from the Hugging Face hub where there is a network, and give it "
            'as weights = "…/model.safetensors"',
        ) from error


def _classifiers(config: Any) -> tuple[str, ...]:
    """Paths of a model's classifiers, one or several."""
    named = config["classifier"] or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _another(what: str) -> ComponentError:
    import timm

    message = f"timm {timm.__version__} {what}: the models of timm {version()} are known"
    return ComponentError(message, field="name", help=f"install timm {version()}, or name another model", code="E213")
