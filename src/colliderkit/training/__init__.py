"""Training loops: optimisers, batches, checkpoints, seeds. Four of them, by what is trained.

- `fit.fit`: any model with one loss, by Lightning: several processes, precision, constraints.
- `stacks.fit_stack`: small perceptrons on tables, many side by side; Lightning would take longer
  than their steps.
- `adversarial.fit_adversarial`: the two networks of a GAN in turns, the epoch chosen by a distance;
  `adversarial.fit_generator` takes this or `fit`, as a generator says.
- `alternating.fit_alternating`: a model and an adversary that stands in its loss, such as a
  decorrelated tagger's; optimistic steps and averaged weights let both kinds settle (`minimax`).

All return a list of `settings.Epoch` and take `settings.Training`. A training depends on its seed
alone, and one that was stopped and resumed ends with the same weights, bit for bit.
"""
