"""A ladder study laid out as steps: sizes x curricula x budgets x schedules, and what follows."""
