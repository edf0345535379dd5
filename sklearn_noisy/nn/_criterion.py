"""What the net asks of a criterion, beside the loss."""

from torch import nn

__all__ = ["Criterion"]


class Criterion(nn.Module):
    """Maps logits and targets to one loss per sample; the net weights and averages."""

    def probe(self, logits, targets):
        """Loss of each sample, by what will be trained with in the end."""
        return self(logits, targets)

    def observed(self, targets):
        """Index of the label in each target; -1 for a row that belongs to no class."""
        return targets

    def penalty(self):
        """Term of the training loss that belongs to no sample, or None."""
        return None

    def after_step(self):
        """Called after every update of the weights."""

    def progress(self):
        """What training has changed, beside the weights; :meth:`resume` takes it."""
        return {"buffers": dict(self.named_buffers())}

    def resume(self, progress):
        """Go on where another criterion, made in the same way, was."""
        buffers = dict(self.named_buffers())
        for name, value in progress["buffers"].items():
            buffers[name].copy_(value)
