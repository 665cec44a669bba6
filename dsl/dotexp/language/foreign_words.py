"""Words of fastai, PyTorch, torchvision and Keras, with the word of the language that means the same.

Imported where a name is unknown; a right spec never reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from dotexp.language.diagnostics import closest

_FIT = "it stands in a stage: `fit one_cycle(epochs = 5, lr = 1e-3)`"
_DATA = 'it is a parameter of the data: `data image_folder("data/pets", size = 224, valid = 20%, batch_size = 64)`'
_BODY = "it is a parameter of the body: `body resnet34(weights = imagenet)`"
_HEAD = "it is a parameter of the head: `head mlp([512], dropout = 0.5)`"
_OPTIMIZER = "it is a parameter of the optimizer: `optimizer adam(wd = 0.01)`"
_CALLBACKS = "it is a callback: `callbacks clip(1.0), accumulate(4)`"
_RUNTIME = "it is a setting of the machine: `runtime(device = cuda, precision = bf16, workers = 4)`"
_STAGES = "training is written as stages: `stage NAME { freeze body  fit one_cycle(epochs = 5, lr = 1e-3) }`"
_FREEZE = "layers are frozen by name: `freeze body`, `freeze before layer4`, `freeze stem..layer1`"
_AUGMENT = "`augment = standard` in the data is fastai's usual set; resizing and normalization need no word"
_WEIGHTS = "`weights = imagenet` starts from trained weights, `weights = none` from random ones"


class Meaning(NamedTuple):
    """What an unknown word means: the choice that fits, if any, and advice."""

    word: str | None
    help: str = ""


def meaning(word: str, choices: Collection[str]) -> Meaning:
    """Return which of the choices an unknown word means, as a word of another library or a misspelling."""
    names, where, note = _TABLE.get(_key(word), ((), "", ""))
    fitting = next((name for name in names if name in choices), None)
    if fitting is not None:
        return Meaning(fitting, note)
    cutoff = 0.75 if where or note else 0.6  # a word that is known elsewhere is rarely a misspelling
    near = closest(word, choices, cutoff=cutoff) or closest(_snake(word), choices, cutoff=cutoff)
    return Meaning(near, "" if near else note or where)


def is_misspelt(word: str, meant: str) -> bool:
    """Whether a word is surely a misspelling of this one."""
    return closest(word, [meant], cutoff=0.75) is not None


def is_translated(word: str, meant: str) -> bool:
    """Whether another library's word stands for this one without further advice."""
    names, _, note = _TABLE.get(_key(word), ((), "", ""))
    return meant in names and not note


def _key(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def _snake(word: str) -> str:
    """Write `SaveModelCallback` as `save_model`."""
    for ending in ("Callback", "Flat", "Loss", "LR", "Metric"):
        word = word.removesuffix(ending)
    return "".join(
        f"_{letter.lower()}" if letter.isupper() and at else letter.lower() for at, letter in enumerate(word)
    )


_ROWS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    # learning rates and schedules
    ("lr lr_max max_lr learning_rate base_lr lr0 eta step_size", ("lr",), _FIT, ""),
    ("epochs epoch num_epochs n_epoch n_epochs nb_epochs max_epochs num_train_epochs", ("epochs", "cycles"), _FIT, ""),
    ("cyc_len cycle_length", ("cycle_len", "epochs"), _FIT, ""),
    ("div_factor", ("div",), _FIT, ""),
    ("final_div final_div_factor", ("div_final",), _FIT, ""),
    ("warmup_pct warmup_ratio", ("pct_start",), _FIT, ""),
    ("moms mom", ("momentum",), _FIT, ""),
    ("beta beta1 beta2", ("betas", "momentum"), _OPTIMIZER, ""),
    ("fit_one_cycle onecycle onecyclelr", ("one_cycle",), _STAGES, ""),
    ("fit_flat_cos flat_cos", ("flat_cosine",), _STAGES, ""),
    ("cosineannealinglr cosine_annealing cosine_decay", ("cosine",), _STAGES, ""),
    ("cosineannealingwarmrestarts fit_sgdr", ("sgdr",), _STAGES, ""),
    ("constantlr constant", ("flat",), _STAGES, ""),
    ("linearlr linear_decay", ("linear",), _STAGES, ""),
    ("finetune", ("fine_tune",), "`stages fine_tune(5)` stands for fastai's two stages", ""),
    ("lr_find lr_finder", (), "`spec-runner lr-find SPEC --stage NAME` suggests a learning rate", ""),
    ("scheduler sched lr_scheduler policy", ("fit",), _STAGES, ""),
    ("train phase step", ("stage",), _STAGES, ""),
    # optimizers
    ("wd weight_decay l2 l2_reg decay_rate", ("wd",), _OPTIMIZER, ""),
    ("opt opt_func optim optimiser solver", ("optimizer",), "", ""),
    ("adamw", ("adam",), "", "`adam`'s decay is decoupled unless said, which is AdamW"),
    ("nesterov", (), "", "there is no Nesterov momentum"),
    ("amsgrad", (), "", "there is no AMSGrad"),
    ("bn_wd wd_bn_bias", ("wd_norm_bias",), _OPTIMIZER, "`wd_norm_bias = true` decays norms and biases, too"),
    # data
    ("batch_size bs batch batch_sz train_batch_size per_device_train_batch_size", ("batch_size",), _DATA, ""),
    ("valid valid_pct val val_pct val_size test_size val_split validation_split valid_size", ("valid",), _DATA, ""),
    ("random_state split_rng", ("split_seed", "seed"), "", ""),
    ("size img_size image_size img_sz sz input_size resolution target_size", ("size", "image_size"), _DATA, ""),
    (
        "augment item_tfms batch_tfms tfms aug_transforms transform transforms augmentations aug data_augmentation",
        ("augment",), _AUGMENT, _AUGMENT,
    ),
    ("normalize imagenet_stats", (), "", "normalization belongs to the body's weights and needs no word"),
    ("dls dataloader dataloaders dataset datasets databunch", ("data",), "", ""),
    ("imagedataloaders imagefolder from_folder image_dataset_from_directory", ("image_folder",), "", ""),
    ("from_csv from_df from_name_re from_name_func from_path_re", ("image_list",), "", ""),
    ("collabdataloaders", ("ratings",), "", ""),
    ("fnames folder dir directory data_dir", ("path", "root"), _DATA, ""),
    ("label_col y_col label_func get_y", ("label",), _DATA, ""),
    ("pat pattern regex", ("label",), _DATA, r'a pattern is text: `label = r"(.+)_\d+\.jpg$"`'),
    ("label_delim", ("label_separator",), _DATA, ""),
    ("sep delim delimiter", ("separator",), _DATA, ""),
    ("user_name user_col user_id", ("user",), _DATA, ""),
    ("item_name item_col movie movie_id", ("item",), _DATA, ""),
    ("rating_name rating_col", ("rating",), _DATA, ""),
    # models
    ("weights pretrained", ("weights",), _BODY, _WEIGHTS),
    ("arch architecture net network backbone encoder", ("body", "model"), "", ""),
    ("classifier custom_head fc", ("head",), "", ""),
    ("n_out num_classes", (), "", "the data says how many classes there are"),
    ("dropout ps drop drop_rate dropout_rate dropout_p p", ("dropout",), _HEAD, ""),
    ("lin_ftrs layers hidden_size hidden_dim units", ("hidden", "layers"), _HEAD, ""),
    ("n_factors n_latent embedding_dim latent_dim k", ("factors",), "", ""),
    ("collab_learner matrix_factorization", ("embedding_dot_bias",), "", ""),
    ("splitter param_groups layer_groups", ("groups",), "", ""),
    ("freeze_to freeze requires_grad trainable", ("freeze",), _FREEZE, _FREEZE),
    # losses and metrics
    ("loss_func criterion loss_fn loss_function objective", ("loss",), "", ""),
    (
        "crossentropyloss crossentropylossflat ce nllloss categorical_crossentropy labelsmoothingcrossentropy",
        ("cross_entropy",), "", "",
    ),
    ("mseloss mselossflat mean_squared_error l2loss", ("mse",), "", ""),
    ("mean_absolute_error l1loss", ("mae",), "", ""),
    ("bcewithlogitsloss bcewithlogitslossflat bceloss bce", ("binary_cross_entropy",), "", ""),
    ("smoothing", ("label_smoothing",), "", ""),
    ("weight class_weights class_weight", ("weights",), "", ""),
    ("acc accuracy_multi categorical_accuracy", ("accuracy",), "", ""),
    ("err error", ("error_rate",), "", ""),
    ("f1_score fbeta f1scoremulti", ("f1",), "", ""),
    ("root_mean_squared_error", ("rmse",), "", ""),
    ("top_5 top_k", ("top_k_accuracy",), "", ""),
    ("metric", ("metrics",), "", ""),
    # callbacks and reports
    ("cbs cb callback callback_fns", ("callbacks",), "", ""),
    ("savemodelcallback save_model modelcheckpoint", ("keep_best",), _CALLBACKS, ""),
    ("gradientclip grad_clip gradient_clip clip_grad_norm max_grad_norm", ("clip",), _CALLBACKS, ""),
    ("gradientaccumulation gradient_accumulation_steps grad_accum n_acc", ("accumulate",), _CALLBACKS, ""),
    ("interpretation plot_confusion_matrix", ("confusion_matrix", "report"), "", ""),
    ("plot_top_losses", ("top_losses",), "", ""),
    # the machine
    ("workers num_workers n_workers", ("workers",), _RUNTIME, ""),
    ("device gpu cuda", ("device",), _RUNTIME, ""),
    ("precision fp16 to_fp16 amp half mixed_precision", ("precision",), _RUNTIME, ""),
)  # fmt: skip
"""Words, the names that they stand for (the first that fits), where such a name belongs, and further advice."""

_TABLE: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    _key(word): (names, where, note) for words, names, where, note in _ROWS for word in words.split()
}
