"""How the gallery runs an example."""

import sklearn


def reset_sklearn(gallery_conf, fname):
    """Each example begins with scikit-learn's own settings."""
    sklearn.set_config(enable_metadata_routing=False)


def arguments(gallery_conf, script_vars):
    """Examples run in their own folder: pictures go to ``examples/output``."""
    return ["--output", "output"]
