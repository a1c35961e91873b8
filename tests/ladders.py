"""A ladder small enough to be trained in a test."""

LADDER = """\
name: tiny-ladder
store: store
corpora:
  made-up: {source: spectrum, tokens_per_stage: 3000, stages: [sentences, facts, problems]}
tokenizer: {algorithm: spectrum, sequence_length: 96}
scaling:
  stages: {order: [sentences, facts, problems]}
  family: llama
  sizes:
    - {num_layers: 1, width: 8, num_heads: 1}
    - {num_layers: 1, width: 16, num_heads: 2}
    - {num_layers: 1, width: 24, num_heads: 3}
    - {num_layers: 1, width: 32, num_heads: 4}
  budgets: [{tokens: 1920}, {tokens: 3840}]
  curricula:
    static: {arrange: mixed}
    progression: {arrange: forward}
  schedules:
    wsd: {decay_fraction: 0.2}
    cosine: {schedule: cosine, sizes: 1, budgets: 1}
  learning_rate: 1e-2
  batch_size: 2
  warmup_tokens: 384
  validations: 3
  fine_tuning: {stage: problems, tokens: 576}
evaluation: {tokens_per_domain: 192, items_per_family: 2}
"""
