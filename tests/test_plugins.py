"""Plugins are found without being imported, guarded when they are, and refused with a sentence that names the fault."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import attrs
import pytest

from qengine_core.errors import PluginError
from qengine_core.hookspecs import LIFECYCLE_HOOKS, REGISTRATION_HOOKS, RunContext, RunFinished, Specs, implements
from qengine_core.manager import Plugins
from qengine_core.plugin import CommissionSpec, component, hookimpl
from qengine_core.testing import plugin_sandbox

GOOD = """
    import sys
    from qengine_core.plugin import CommissionSpec, component, implements

    @component
    class Free:
        "Nothing to pay."

        @property
        def rates(self):
            return ()

        @staticmethod
        def commission(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
            return 0.0

    @implements.commission_models
    def commission_models():
        yield CommissionSpec(name="{name}", summary="Free of charge.", component=Free)
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path, into which ``site(distribution, source)`` installs a plugin by hand."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def install(distribution, source, version="1.2", folder=tmp_path):
        module = distribution.lower().replace("-", "_").replace(".", "_")
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
        info = folder / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[qengine.plugins]\n{distribution} = {module}\n")
        return module

    install.folder = tmp_path
    yield install
    for name in set(sys.modules) - before:
        del sys.modules[name]


def info_of(plugins, name):
    return next(info for info in plugins.infos if info.name == name)


def test_an_installed_plugin_is_found_and_says_what_it_provides(site):
    site("qtest-good", GOOD.format(name="qtest-free"))
    plugins = Plugins.discover()
    info = info_of(plugins, "qtest-good")
    assert (info.status, info.version, info.module, info.failure) == ("loaded", "1.2", "qtest_good", "")
    assert info.provides == ["commission/qtest-free"]
    assert plugins.find("commission", "qtest-free").plugin == "qtest-good"


@pytest.mark.parametrize("lists", [{"allow": ["qengine-costs"]}, {"block": ["qtest-good"]}])
def test_the_lists_act_before_anything_is_imported(site, lists):
    module = site("qtest-good", GOOD.format(name="qtest-free"))
    plugins = Plugins.discover(**lists)
    assert module not in sys.modules
    assert info_of(plugins, "qtest-good").status == "blocked"
    with pytest.raises(PluginError, match="qtest-good is installed but blocked"):
        plugins.find("commission", "qtest-good/qtest-free")


def test_the_allow_list_lets_through_what_it_names(site):
    site("qtest-good", GOOD.format(name="qtest-free"))
    plugins = Plugins.discover(allow=["qtest-good"])
    assert [info.name for info in plugins.infos if info.status == "loaded"] == ["qengine-core", "qtest-good"]


BROKEN = {
    "import error": (
        "import there_is_no_such_module",
        "ModuleNotFoundError: No module named 'there_is_no_such_module'",
    ),
    "syntax error": ("def (", "SyntaxError"),
    "exit at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "raises in a hook": (
        "from qengine_core.plugin import implements\n@implements.feeds\ndef feeds():\n    return [1 / 0]",
        "ZeroDivisionError",
    ),
    "a record of another kind": (
        "from qengine_core.plugin import FeedSpec, component, implements\n@component\nclass A: pass\n"
        "@implements.commission_models\ndef models():\n    yield FeedSpec(name='a', summary='A.', component=A)",
        "hook qengine_commission_models: must yield CommissionSpec records",
    ),
    "a plain string": (
        "from qengine_core.plugin import implements\n@implements.feeds\ndef feeds():\n    yield 'csv'",
        "hook qengine_feeds: must yield FeedSpec records, not 'csv'",
    ),
    "a class that is no component": (
        "from qengine_core.plugin import CommissionSpec, implements\nclass A: pass\n"
        "@implements.commission_models\ndef models():\n    yield CommissionSpec(name='a', summary='A.', component=A)",
        "is not an attrs class; decorate it with @component",
    ),
    "an unknown hook": (
        "from qengine_core.plugin import hookimpl\n@hookimpl\ndef qengine_feed(): return []",
        "unknown hook 'qengine_feed'",
    ),
    "nothing iterable": (
        "from qengine_core.plugin import implements\n@implements.feeds\ndef feeds(): return None",
        "TypeError",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_quarantined_and_the_rest_work(site, case):
    source, reason = BROKEN[case]
    site("qtest-broken", source)
    site("qtest-good", GOOD.format(name="qtest-free"))
    plugins = Plugins.discover()
    info = info_of(plugins, "qtest-broken")
    assert info.status == "failed"
    assert reason in info.failure
    assert info.provides == []
    assert plugins.find("commission", "qtest-free").plugin == "qtest-good"


def test_a_misspelt_name_is_answered_with_the_nearest_and_all_known():
    with pytest.raises(PluginError, match=r"no commission named 'per-shair' \(did you mean 'per-share'\? known: .*"):
        Plugins.discover().find("commission", "per-shair")


@pytest.mark.parametrize(
    "name",
    [
        "qtest-nowhere/thing",
        "qtest-broken/thing",
        "thing",
    ],
)
def test_a_broken_plugin_is_quoted_where_something_is_missed(site, name):
    site("qtest-broken", "import there_is_no_such_module")
    with pytest.raises(PluginError, match=r"qtest-broken .*ModuleNotFoundError: No module named 'there_is_no"):
        Plugins.discover().find("commission", name)


def test_strict_refuses_to_go_on_with_a_broken_plugin(site):
    site("qtest-broken", "raise SystemExit(3)")
    with pytest.raises(PluginError, match="Plugin qtest-broken failed to load: SystemExit: 3"):
        Plugins.discover(strict=True)


def test_a_half_registered_plugin_leaves_nothing_behind(site):
    """Its first hook is fine, its second raises: neither its component nor its lifecycle hook stays."""
    site(
        "qtest-broken",
        textwrap.dedent(GOOD.format(name="qtest-half"))
        + textwrap.dedent("""
            @implements.feeds
            def feeds():
                raise ValueError("no")

            @implements.run_started
            def started(context):
                context.state["broken"] = True
        """),
    )
    plugins = Plugins.discover()
    with pytest.raises(PluginError):
        plugins.find("commission", "qtest-half")
    context = RunContext(out=None, config={}, state={})
    plugins.call("qengine_run_started", context)
    assert "broken" not in context.state


SIGNATURES = {
    "another name": ("def impl(ctx): ...", "there is no parameter 'ctx'; the hook takes 'context'"),
    "one too many": ("def impl(context, more): ...", "there is no parameter 'more'"),
    "a default": ("def impl(context=None): ...", "the parameter 'context' must be plain"),
    "keyword only": ("def impl(*, context): ...", "the parameter 'context' must be plain"),
    "none": ("def impl(): ...", "the parameter 'context' is missing"),
    "any keywords": ("def impl(**context): ...", "the parameter 'context' must be plain"),
    "another type": ("def impl(context: int): ...", "the parameter 'context' is annotated"),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_a_wrong_signature_is_refused_naming_plugin_hook_and_parameter(site, case):
    definition, reason = SIGNATURES[case]
    site("qtest-wrong", f"from qengine_core.plugin import implements\n@implements.run_started\n{definition}")
    failure = info_of(Plugins.discover(), "qtest-wrong").failure
    assert failure.startswith("plugin qtest-wrong, hook qengine_run_started: ")
    assert reason in failure


def test_a_registration_hook_takes_nothing(site):
    site("qtest-wrong", "from qengine_core.plugin import implements\n@implements.feeds\ndef feeds(context): return []")
    assert info_of(Plugins.discover(), "qtest-wrong").failure == (
        "plugin qtest-wrong, hook qengine_feeds: there is no parameter 'context'; the hook takes none."
    )


def test_a_name_owned_by_two_plugins_is_an_error_only_when_used(site):
    site("qtest-one", GOOD.format(name="qtest-free"))
    site("qtest-two", GOOD.format(name="qtest-free"))
    plugins = Plugins.discover()
    assert len([entry for entry in plugins.all("commission") if entry.spec.name == "qtest-free"]) == 2
    with pytest.raises(PluginError, match="write 'qtest-one/qtest-free' or 'qtest-two/qtest-free'"):
        plugins.find("commission", "qtest-free")
    assert plugins.find("commission", "qtest-two/qtest-free").plugin == "qtest-two"
    assert plugins.find("commission", "QTest_Two/qtest-free").plugin == "qtest-two", "names are normalised as pip's are"


def test_of_two_copies_on_the_path_the_first_wins(site, tmp_path, monkeypatch):
    older = tmp_path / "older"
    older.mkdir()
    site("qtest-good", GOOD.format(name="qtest-free"), version="1.0", folder=older)
    site("qtest-good", GOOD.format(name="qtest-free"), version="2.0")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(older), *sys.path])
    found = [info for info in Plugins.discover().infos if info.name == "qtest-good"]
    assert [info.version for info in found] == ["2.0"]


def test_a_missing_name_is_answered_with_what_to_install():
    empty = plugin_sandbox()
    with pytest.raises(PluginError, match="pip install qengine-costs"):
        empty.find("commission", "per-share")
    with pytest.raises(PluginError, match="pip install qtest-nowhere"):
        empty.find("commission", "qtest-nowhere/thing")


def test_registering_by_hand_raises_at_once():
    with pytest.raises(PluginError, match="Plugin mine failed to load: hook qengine_feeds: must yield FeedSpec"):
        Plugins().add(SimpleNamespace(feeds=implements.feeds(lambda: [1])), "mine")


def test_the_sandbox_holds_only_what_is_put_in():
    @component
    class Mine:
        """Mine."""

    def models():
        yield CommissionSpec(name="mine", summary="Mine.", component=Mine)

    plugins = plugin_sandbox(SimpleNamespace(models=implements.commission_models(models)))
    assert [entry.spec.name for entry in plugins.all("commission")] == ["mine"]
    assert [entry.spec.name for entry in plugins.all("runner")] == ["python"]


def test_a_typed_marker_exists_for_every_hook_and_a_typo_is_an_error():
    marked = set()
    for name in dir(implements):
        if name.startswith("_"):
            continue
        function = getattr(implements, name)(lambda: None)
        marked.add(function.qengine_impl["specname"])
    assert marked == set(REGISTRATION_HOOKS) | set(LIFECYCLE_HOOKS)
    with pytest.raises(AttributeError):
        implements.comission_models  # noqa: B018 - the look-up is what must fail


def test_a_typo_in_a_marker_and_a_wrong_record_are_errors_for_mypy(tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
            from collections.abc import Iterable
            from qengine_core.plugin import FeedSpec, CommissionSpec, implements

            @implements.comission_models
            def one() -> Iterable[CommissionSpec]:
                return []

            @implements.commission_models
            def two() -> Iterable[FeedSpec]:
                return []
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "mine.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 'has no attribute "comission_models"' in done.stdout
    assert '"commission_models" of "Implements" has incompatible type' in done.stdout


def test_every_hook_is_documented():
    for hook in (*REGISTRATION_HOOKS, *LIFECYCLE_HOOKS):
        assert (getattr(Specs, hook).__doc__ or "").strip().endswith("."), f"{hook} has no sentence"


def test_lifecycle_hooks_reach_every_plugin_and_failures_can_be_kept_apart():
    heard = []
    good = SimpleNamespace(finished=implements.run_finished(lambda context: heard.append(context.out)))

    def fails(context):
        raise OSError("disk full")

    plugins = Plugins()
    plugins.add(good, "good")
    plugins.add(SimpleNamespace(finished=implements.run_finished(fails)), "bad")
    context = RunFinished(out="here", config={}, state={}, result=None)
    assert plugins.call("qengine_run_finished", context, isolate=True) == ["bad: OSError: disk full"]
    assert heard == ["here"]
    with pytest.raises(OSError, match="disk full"):
        plugins.call("qengine_run_finished", context)


def test_records_are_frozen():
    spec = CommissionSpec(name="mine", summary="Mine.", component=object)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        spec.name = "yours"


def test_the_public_names_of_the_plugin_api_stay():
    """Removing or renaming one breaks every plugin there is: that takes a deprecation, and then an edit here."""
    import qengine_core.plugin as api
    import qengine_core.testing as kit

    assert {"component", "param", "implements", "hookimpl"} <= set(api.__all__)
    assert {spec.__name__ for spec in REGISTRATION_HOOKS.values()} <= set(api.__all__)
    for module in (api, kit):
        missing = [name for name in module.__all__ if not hasattr(module, name)]
        assert not missing, f"{module.__name__}.__all__ promises {missing}"
    assert hookimpl is api.hookimpl


def test_the_command_works_with_every_plugin_broken(site):
    """Listed with their reasons, and the exit status says that listing them went well."""
    site("qtest-broken", "import there_is_no_such_module")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from qengine_core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, str(site.folder), "plugins", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    failed = {row["name"]: row["failure"] for row in json.loads(done.stdout) if row["status"] == "failed"}
    assert "there_is_no_such_module" in failed["qtest-broken"]
