//! Calls into the engine that may panic on a damaged store.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `call`; a panic in it becomes its message and place, and is not printed.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(keep_messages_of_guarded_calls);
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    result.map_err(|payload| {
        let message = LAST.with_borrow_mut(Option::take);
        message.unwrap_or_else(|| text_of(payload.as_ref()))
    })
}

/// The panic hook is the only place that knows where a panic happened. Ours keeps that for
/// guarded calls and leaves all others to the hook that was there.
fn keep_messages_of_guarded_calls() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if GUARDED.get() {
            LAST.set(Some(panic.to_string().replace('\n', " ")));
        } else {
            before(panic);
        }
    }));
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]

    fn a_panic_becomes_its_message() {
        let error = guarded(|| -> u32 { panic!("tried to serialize {}", "Uninitialized") });
        let error = error.unwrap_err();
        assert!(
            error.contains("tried to serialize Uninitialized"),
            "{error}"
        );
        assert!(error.contains("guard.rs"), "{error}");
        assert_eq!(guarded(|| 7), Ok(7));
    }
}
