"""`selfnorm export`: a saved model in, an ONNX file out, or the same model in one file."""

from pathlib import Path
from typing import Annotated

import typer

from selfnorm.cli._console import fail, output, tell
from selfnorm.cli._interrupt import undisturbed
from selfnorm.cli._table import Encoding, source

# Endings of other programs' files: whoever types one means no folder of that name.
_FOREIGN = (
    *(".pb", ".pt", ".pth", ".pt2", ".pkl", ".pickle", ".joblib", ".h5", ".keras", ".tflite"),
    *(".safetensors", ".pmml", ".mlmodel", ".ort", ".json", ".csv", ".parquet", ".zip", ".html"),
)


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What `fit` wrote.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="model.onnx, or model.snn or a folder for a copy.")
    ],
    table: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="Rows to compare on. Default: some are made."),
    ] = None,
    encoding: Encoding = None,
    without_rows: Annotated[
        bool,
        typer.Option(
            "--without-rows",
            help="Leave networks of infinite width out, which hold the encoded training rows.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over OUT.")] = False,
) -> None:
    """Write a model as ONNX, its encoding inside: inputs are the columns, by their names.

    Where onnxruntime is installed it is asked whether the file says what the model says.

        selfnorm export patients-model patients.onnx
    """
    from selfnorm.tabular._model_file import read_model

    if out.suffix.lower() in _FOREIGN:
        fail(
            "A model is exported as .onnx, as .snn or as a folder; "
            f"'{out}' ends in '{out.suffix}'. Name another file."
        )
    saved = read_model(model)
    if without_rows:
        saved = saved.without_rows()
    if out.suffix.lower() != ".onnx":
        from selfnorm.tabular._storage import check_output, write_model

        check_output(out, force=force)
        with undisturbed():
            write_model(saved, out)
        output.print(f"Wrote {out}")
        return
    from selfnorm.tabular.export._export import TOLERANCE, export_onnx

    given = None if table is None else source(table, encoding)
    with undisturbed():
        found = export_onnx(saved, out, given, force=force)
    if found.read:
        named = ", ".join(f"'{name}' ({found.inputs[name]})" for name in found.read[:5])
        more = f", and {len(found.read) - 5} more" if len(found.read) > 5 else ""
        tell(
            f"ONNX reads no dates or amounts; these inputs are numbers already read: {named}{more}."
        )
    if not found.checked:
        tell("It was not compared with the model: onnxruntime is not installed.")
        output.print(f"Wrote {out}: {len(found.inputs)} inputs")
        return
    output.print(
        f"Wrote {out}: {len(found.inputs)} inputs; onnxruntime's answers on {found.checked:,} rows "
        f"are within {found.difference:.1e} of the model's (at most {TOLERANCE:g})"
    )
