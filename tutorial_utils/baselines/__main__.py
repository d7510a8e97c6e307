"""Train the weights that the package carries: `python -m tutorial_utils.baselines`."""

from tutorial_utils.cache import new_file
from tutorial_utils.data import load
from tutorial_utils.models import SHIPPED
from tutorial_utils.training import evaluate, make_baseline
from tutorial_utils.weights import write_weights

EPOCHS = {"resnet8": 15, "resnet20": 20}


def main() -> None:
    """Train each model from seed 0, print its accuracy, and store weights and sums."""
    data = load("digits")
    sums = []
    for name, epochs in EPOCHS.items():
        model = make_baseline(name, data, epochs=epochs, seed=0, bf16=True, show=True)
        filename = f"{name}-{data.key}.pt"
        sums.append(f"{write_weights(model, SHIPPED / filename)}  {filename}\n")
        for part in ("val", "test"):
            print(f"{name} {part}: {evaluate(model, getattr(data, part)):.4f}")
    with new_file(SHIPPED / "SHA256SUMS") as temporary:
        temporary.write_text("".join(sums))


if __name__ == "__main__":
    main()
