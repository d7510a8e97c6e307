"""From a network of torchvision and a loader of images of 96 x 96 pixels to a file in int8."""

from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms

from tutorial_utils.deploying import compile_for_inference, save_exported
from tutorial_utils.measuring import comparison_table, measure_in_turns
from tutorial_utils.quantization import quantize_ptq
from tutorial_utils.training import fit

images = datasets.FakeData(64, (3, 96, 96), 10, transforms.ToTensor())  # put yours here
loader = DataLoader(images, batch_size=16)
model = models.resnet18(num_classes=10)  # and here, with its trained weights
fit(model, loader, epochs=1, lr=0.01)  # leave this out if it is trained
int8 = quantize_ptq(model, loader)
compiled = compile_for_inference(int8, next(iter(loader))[0])
rows = measure_in_turns({"float32": model, "int8": compiled}, loader, batch_sizes=(16,))
print(comparison_table(list(rows.values())))
save_exported(int8, next(iter(loader))[0], "int8.pt2")
