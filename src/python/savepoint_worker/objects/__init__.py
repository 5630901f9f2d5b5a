"""The engine `objects`: copies of what the user's variables hold, put back in place.

It is for processes that cannot be forked. Everything that the variables lead to is walked once (`walk`). Of each object
that can change its contents are noted, beside a strong reference to it (`kinds` and what registers there), so that
later the very same object can be given the same contents again (`snapshot`): identity, aliases and views stay what
they were. What can change and cannot be put back is named in `limits`; nothing is left out in silence.

The frames of running code, threads and tasks, and what libraries keep to themselves are not touched.
"""
