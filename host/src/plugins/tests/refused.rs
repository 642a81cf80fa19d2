//! Files that are not loaded, and what their author or operator reads about it.

use super::*;

#[track_caller]
fn check(host: &Host, name: &str, expected: &str) {
    let status = host.status(name);
    let error = status.last_error.clone().unwrap_or_default();
    assert!(error.contains(expected), "{name}: {error}");
    assert!(!error.contains('\n'), "{error}");
    assert_eq!(status.state, PluginState::Failed);
}

#[tokio::test]
async fn not_a_component() {
    let host = Host::with(&[
        ("text.wasm", b"hello, this is no component"),
        ("empty.wasm", b""),
        ("module.wasm", b"\0asm\x01\0\0\0"),
        ("future.wasm", b"\0asm\x0e\0\x01\0"),
        ("broken.wasm", b"\0asm\x0d\0\x01\0\x01\xff\xff"),
        ("nothing.wasm", &wat::parse_str("(component)").unwrap()),
        (".on-its-way.wasm", b"half"),
        ("notes.txt", b"not a plugin"),
        ("left-over.toml", b"nonsense"),
        ("na me.wasm", b""),
    ])
    .await;
    check(&host, "text", "not a WebAssembly component");
    check(&host, "empty", "empty");
    check(&host, "module", "a core module, not a component");
    check(&host, "future", "of a version that this host does not know");
    check(&host, "broken", "not a valid component: ");
    check(
        &host,
        "nothing",
        "exports none of patchbay:plugin/quirks, flow and nat-policy (@0.1); it exports nothing",
    );
    check(&host, "na me", "the file's name must be");
    assert_eq!(host.plugins.statuses().len(), 7);
    assert_eq!(host.plugins.table().generation(), 1);
}

#[tokio::test]
async fn imports_and_versions() {
    let component = |text: &str| wat::parse_str(text).unwrap();
    let host = Host::with(&[
        (
            "http.wasm",
            &component(
                r#"(component
                    (import "wasi:http/types@0.2.0" (instance))
                    (import "env" (func))
                    (import "wasi:io/error@0.2.6" (instance))
                    (instance $i)
                    (export "patchbay:plugin/flow@0.1.0" (instance $i)))"#,
            ),
        ),
        (
            "policy.wasm",
            &component(
                r#"(component
                    (import "patchbay:plugin/session@0.1.0" (instance))
                    (instance $i)
                    (export "patchbay:plugin/nat-policy@0.1.7" (instance $i)))"#,
            ),
        ),
        (
            "later.wasm",
            &component(
                r#"(component (instance $i) (export "patchbay:plugin/flow@0.2.0" (instance $i)))"#,
            ),
        ),
        (
            "hollow.wasm",
            &component(
                r#"(component (instance $i) (export "patchbay:plugin/flow@0.1.0" (instance $i)))"#,
            ),
        ),
    ])
    .await;
    check(
        &host,
        "http",
        "does not give a plugin that exports flow: wasi:http/types@0.2.0, env",
    );
    check(
        &host,
        "policy",
        "exports nat-policy: patchbay:plugin/session@0.1.0",
    );
    check(
        &host,
        "later",
        "made for patchbay:plugin/flow@0.2.0; this host knows patchbay:plugin@0.1",
    );
    check(
        &host,
        "hollow",
        "does not fit the WIT of patchbay:plugin@0.1: instance export `patchbay:plugin/flow@0.1.0`",
    );
}

#[tokio::test]
async fn describe_and_settings() {
    let hooks = guest("test/bad-hooks");
    let host = Host::with(&[
        ("bad-describe.wasm", &guest("test/bad-describe")),
        ("name.wasm", &hooks),
        (
            "name.toml",
            b"[settings.overrides]\nmax-name-per-get = '5'\n",
        ),
        ("value.wasm", &hooks),
        (
            "value.toml",
            b"[settings.overrides]\nnames-by-level = 'often'\n",
        ),
        ("toml.wasm", &hooks),
        ("toml.toml", b"enabled = true\ninstance = ['a']\n"),
        ("off.wasm", &hooks),
        ("off.toml", b"enabled = false\n"),
    ])
    .await;
    check(
        &host,
        "bad-describe",
        "describe failed: crashed: wasm `unreachable` instruction executed in ",
    );
    check(
        &host,
        "name",
        "override \"max-name-per-get\" is not known; expected one of max-names-per-get",
    );
    check(
        &host,
        "value",
        "override names-by-level is \"often\"; expected \"true\" or \"false\"",
    );
    check(
        &host,
        "toml",
        "toml.toml: line 2: unknown field `instance`, expected one of `enabled`, `instances`",
    );
    assert_eq!(host.status("off").state, PluginState::Disabled);
    assert!(host.matched().profiles().next().is_none());
}

#[tokio::test]
async fn a_file_alone_can_be_checked() {
    let host = Host::with(&[]).await;
    let path = host.directory.path().join("zhone.wasm");
    std::fs::write(&path, guest("shipped/zhone")).unwrap();
    let found = inspect(&path, None, &Limits::default()).await.unwrap();
    assert_eq!(found.kinds, ["quirks"]);
    assert_eq!(found.hooks, ["on-inform", "on-response"]);
    assert_eq!(
        found.matches,
        ["profile: manufacturer Zhone*, product class ZNID*"]
    );
    assert!(!found.has_toml && !found.imports_wasi);
    std::fs::write(&path, b"\0asm\x01\0\0\0").unwrap();
    assert!(
        inspect(&path, None, &Limits::default())
            .await
            .unwrap_err()
            .contains("core module")
    );
}
