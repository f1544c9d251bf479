"""`./dev mutate`: plants one small mistake after another in the cores and sees whether their tests notice.

See docs/adr/0008: no file is changed, and each mutant meets the tests in a process of its own.
"""
