"""From a training run's checkpoint to the engine's, which the command line and the Slicer module load.

python -m training.export --checkpoint lightning_logs/version_0/checkpoints/last.ckpt --out weights.pt
"""
