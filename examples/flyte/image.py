"""An image for Flyte's tasks, made by aweigh: `python examples/flyte/image.py`.

Needs `pip install flyte`, and no cluster: `flyte.build` only makes the image exist.
"""

import os
from pathlib import Path

import flyte

from aweigh.integrations.flyte import FlyteImageBuilder

image = (
    flyte.Image.from_base(os.environ.get("EXAMPLE_BASE", "python:3.12-slim"))
    .clone(name="flyte-example", extendable=True)
    .with_pip_packages("humanize==4.13.0")
    .with_env_vars({"GREETING": "ahoy"})
    .with_workdir("/srv")
    .with_source_file(Path(__file__))
)
env = flyte.TaskEnvironment(name="example", image=image)

if __name__ == "__main__":
    flyte.init(root_dir=Path(__file__).parent, image_builder=FlyteImageBuilder())
    print(flyte.build(image).uri)
