"""Where the stages read and write: the same places dvc.yaml names."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """All paths of the pipeline below one project folder."""

    root: Path = Path()

    @property
    def params(self) -> Path:
        """The parameters of every stage."""
        return self.root / "params.yaml"

    @property
    def raw(self) -> Path:
        """The data set: pair table and images (out of `download`)."""
        return self.root / "data" / "raw"

    @property
    def views(self) -> Path:
        """Packed views (out of `polar_transform`)."""
        return self.root / "data" / "views"

    @property
    def weights(self) -> Path:
        """Files of weights a training may begin with (a dependency of `train` and `ablate`)."""
        return self.root / "weights"

    @property
    def model(self) -> Path:
        """Trained weights (out of `train`)."""
        return self.root / "models" / "aenet"

    @property
    def onnx(self) -> Path:
        """Exported branches (out of `export_onnx`)."""
        return self.root / "models" / "onnx"

    @property
    def reports(self) -> Path:
        """Metrics, tables and pictures."""
        return self.root / "reports"

    @property
    def state(self) -> Path:
        """Local state that is no artefact: checkpoints, downloads, the tracking journal."""
        return self.root / ".aenet"
