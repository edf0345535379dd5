"""Callbacks for the classifiers' parameter `callbacks`."""

from sklearn.utils import check_array, check_consistent_length
from skorch.callbacks import Callback

from sklearn_noisy._labels import (
    label_array,
    label_codes,
)
from sklearn_noisy._rows.rows import Rows
from sklearn_noisy._validation import (
    check_columns,
    check_same_order,
)

__all__ = ["EpochAccuracy"]


class EpochAccuracy(Callback):
    """Record the accuracy on given rows after every epoch.

    Rows with checked labels show the accuracy on true labels. Training rows with their
    given labels show how far the classifier memorises wrong labels. Training itself is
    not changed. The accuracy is a column of ``history_``, which
    :class:`sklearn_noisy.inspection.TrainingDisplay` draws.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or \
            ndarray of shape (n_samples, ...)
        Rows in the form in which the classifier receives them: in a Pipeline, after
        the other steps. Every net has a copy of them.
    y : array-like of shape (n_samples,)
        Labels of these rows, among the classes that the classifier is fitted on.
    name : str, default="clean_acc"
        Column of the history. Only names that end in ``_acc`` are drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_noisy import RobustLossClassifier
    >>> from sklearn_noisy.callbacks import EpochAccuracy
    >>> from sklearn_noisy.datasets import corrupt_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> y_given = corrupt_labels(y, noise_rate=0.2, random_state=0)
    >>> clf = RobustLossClassifier(
    ...     callbacks=[EpochAccuracy(X, y)], max_epochs=3, random_state=0)
    >>> len(clf.fit(X, y_given).history_[:, "clean_acc"])
    3
    """

    def __init__(self, X, y, *, name="clean_acc"):
        self.X = X
        self.y = y
        self.name = name

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Check the rows, and encode the labels as the net does.

        Raises
        ------
        ValueError
            If the rows have another shape than those of training or another order
            than `y`, a label is not among the classes, or `name` is not a non-empty
            string.
        """
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name must be a non-empty string; got {self.name!r}.")
        check_columns(self.X)
        rows = check_array(
            self.X, accept_sparse="csr", allow_nd=True, input_name="X", estimator=self
        )
        check_same_order(X=self.X, y=self.y)
        labels = label_array(self.y)
        check_consistent_length(rows, labels)
        if X is not None and rows.shape[1:] != X.shape[1:]:
            raise ValueError(
                f"X of {type(self).__name__} has rows of shape {rows.shape[1:]}; the "
                f"classifier trains on rows of shape {X.shape[1:]}."
            )
        name = f"y of {type(self).__name__}"
        self.codes_ = label_codes(labels, net.labels_, name)
        self.rows_ = Rows(rows)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Record the accuracy."""
        if self.name in net.history[-1]:
            raise ValueError(f"name={self.name!r} is a column of the history already.")
        codes = net.logits(self.rows_).argmax(axis=1)
        net.history.record(self.name, float((codes == self.codes_).mean()))

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Release the copy of the rows."""
        self.rows_ = self.codes_ = None
