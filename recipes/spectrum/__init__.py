"""The curriculum spectrum: six stages of made-up text, from single sentences to program traces.

All of it is drawn from small worlds with a closed vocabulary, without limit and from a seed. Every
episode says what is asked and which answer is right, so that models are scored exactly.
"""
