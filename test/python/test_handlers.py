"""Handlers that a user registers, and what becomes of those that raise."""

from __future__ import annotations

import importlib.util
import unittest

from checkpoint_case import CheckpointCase

CLIENT = (
    "import savepoint\n"
    "class Client:\n"
    "    def __init__(self, url): self.url = url; self.open = (n for n in (1, 2)); next(self.open)\n"
    "    def __reduce__(self): raise TypeError('an open connection')\n"
)
REGISTER = "savepoint.register_handler(Client, save=lambda client: {'url': client.url}, load=lambda kept: Client(**kept))"


class Registered(CheckpointCase):
    def test_an_object_comes_back_and_can_be_kept_again(self) -> None:
        self.save(CLIENT + REGISTER + "\nx = Client('a'); y = [x]")
        self.assertEqual(self.objects()["x"]["verdict"], "rebuilt")
        self.assertEqual(self.objects()["x"]["tier"], "handler")
        again = (
            "assert x.url == 'a' and y[0] is x and next(x.open) == 2",
            "from savepoint.handlers import handler_for\nassert handler_for(Client).save(x) == {'url': 'a'}",
        )
        self.assertEqual(self.restore(*again)["lost"], [])

    def test_without_one_it_is_lost(self) -> None:
        self.assertEqual(list(self.lost(self.save(CLIENT + "x = Client('a')"))), ["x"])

    def test_one_that_raises_costs_its_objects_only(self) -> None:
        broken = "savepoint.register_handler(Client, save=lambda client: client.nothing, load=Client)"
        reason = self.lost(self.save(CLIENT + broken + "\nx = Client('a'); good = 1"))["x"]
        self.assertIn("the handler that is registered for __main__.Client raised AttributeError", reason)
        self.restore("assert good == 1")

    def test_one_that_raises_at_the_load_costs_its_objects_only(self) -> None:
        broken = "savepoint.register_handler(Client, save=lambda client: 0, load=lambda kept: 1 / kept)"
        self.assertEqual(self.lost(self.save(CLIENT + broken + "\nx = Client('a'); good = 1")), {})
        report = self.restore("assert good == 1")
        self.assertEqual([(each["name"], each["reason"]) for each in report["lost"]], [("x", "ZeroDivisionError: division by zero")])

    def test_subclasses_and_names_are_served(self) -> None:
        named = "savepoint.register_handler('fractions.Fraction', save=str, load=__import__('fractions').Fraction, verdict='equal')"
        self.save(CLIENT + named + "\nfrom fractions import Fraction\nclass Mine(Fraction): pass\nx = Mine(1, 3)")
        self.assertEqual(self.objects()["x"]["verdict"], "equal")
        self.restore("from fractions import Fraction\nassert type(x) is Fraction and x == Fraction(1, 3)")


class OtherWays(CheckpointCase):
    @unittest.skipUnless(importlib.util.find_spec("dill"), "dill is not installed")
    def test_dill_is_asked_for_the_one_object_that_fails(self) -> None:
        make = "import operator\nclass C: pass\nshared = [1]\nx = {'odd': (lambda: 0).__get__, 'shared': shared}"
        self.save(make)
        self.assertIn(self.objects()["x"]["tier"], ("dill", "by_value"))
        self.restore("assert x['shared'] is shared")

    def test_an_object_with_an_endless_getattr_comes_back(self) -> None:
        shy = (
            "class Shy:\n    def __init__(self): object.__setattr__(self, 'kept', {'a': 1})\n"
            "    def __getattr__(self, name): return self.kept[name]\nx = Shy()"
        )
        self.save(shy)
        self.restore("assert x.a == 1 and type(x) is Shy")

    def test_code_that_runs_at_the_load_sees_the_other_variables(self) -> None:
        late = "class Late:\n    def __reduce__(self): return make, ()\ndef make(): return found[key]\nx = Late()\nkey = 'k'; found = {'k': 5}"
        self.save(late)
        self.restore("assert x == 5")


class Refused(unittest.TestCase):
    def test_nonsense_is_refused(self) -> None:
        import savepoint

        for arguments, named in (((5, str, str), {}), ((int, 5, str), {}), ((int, str, None), {})):
            with self.assertRaises(TypeError):
                savepoint.register_handler(*arguments, **named)
        with self.assertRaises(ValueError):
            savepoint.register_handler(int, str, str, verdict="exact")
        savepoint.register_handler("a.B", str, str)
        savepoint.unregister_handler("a.B")
        savepoint.unregister_handler("a.B")


if __name__ == "__main__":
    unittest.main()
