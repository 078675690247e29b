//! Panics, which are bugs: each is logged and counted, and a panic of a thread on which
//! everything else depends ends the process, so that no half-dead server looks healthy.

use std::cell::Cell;
use std::panic;
use std::sync::Arc;

use actix::Arbiter;

use super::log_output;
use crate::metrics::Metrics;

/// Exit code after a panic that cannot be recovered; `EX_SOFTWARE` of sysexits.h.
const EXIT_CODE: i32 = 70;

/// Threads that recover: HTTP workers lose the one connection that was served,
/// blocking work, writers and the spooler report the panic as an error.
const RECOVERING: [&str; 4] = ["actix-rt", "tokio-rt-worker", "writer", "spooler"];

thread_local! {
    /// Everything depends on this thread, though its name is that of others.
    static IS_VITAL: Cell<bool> = const { Cell::new(false) };
}

/// From now on panics are logged and counted.
pub(super) fn install(metrics: Arc<Metrics>) {
    panic::set_hook(Box::new(move |about| {
        metrics.panics.inc();
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        log::error!("a bug, on thread {name}: {about}");
        if !recovers(name) {
            log::error!("the server cannot work without that thread: it ends");
            log_output::finish();
            std::process::exit(EXIT_CODE);
        }
    }));
}

/// A panic on the thread of these actors ends the process.
pub(super) fn make_vital(arbiter: &Arbiter) {
    if !arbiter.spawn_fn(|| IS_VITAL.set(true)) {
        log::error!("a thread that everything depends on has ended already");
    }
}

fn recovers(thread: &str) -> bool {
    !IS_VITAL.get() && RECOVERING.iter().any(|name| thread.starts_with(name))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::process::{Command, Output};
    use std::time::Duration;

    use actix::{Actor, AsyncContext, Context, System};
    use actix_web::{App, HttpServer, web};

    use super::*;

    /// Runs a test in a process of its own, for the hook is there for all threads.
    fn in_process_of_its_own(test: &str) -> Output {
        let path = module_path!().split_once("::").unwrap().1;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", &format!("{path}::{test}")]);
        command.output().unwrap()
    }

    fn install_counted() -> Arc<Metrics> {
        let metrics = Arc::new(Metrics::new().unwrap());
        install(metrics.clone());
        metrics
    }

    struct Panicking;

    impl Actor for Panicking {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            ctx.run_later(Duration::from_millis(1), |_, _| panic!("on purpose"));
        }
    }

    #[test]
    fn a_panic_that_harms_nobody_else_is_counted_and_the_server_goes_on() {
        let ended = in_process_of_its_own("panics_that_harm_nobody_else");
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(
            ended.status.success() && said.contains("1 passed"),
            "{ended:?}"
        );
    }

    #[test]
    fn a_panic_of_a_vital_actor_ends_the_process_with_an_error_code() {
        let ended = in_process_of_its_own("panic_of_a_vital_actor");
        assert_eq!(ended.status.code(), Some(EXIT_CODE), "{ended:?}");
    }

    #[test]
    fn a_panic_of_a_thread_that_nobody_knows_ends_the_process() {
        let ended = in_process_of_its_own("panic_of_an_unknown_thread");
        assert_eq!(ended.status.code(), Some(EXIT_CODE), "{ended:?}");
    }

    #[test]
    #[ignore = "run by another test"]
    fn panics_that_harm_nobody_else() {
        let metrics = install_counted();
        let writer = std::thread::Builder::new().name("writer".to_owned());
        let writer = writer.spawn(|| panic!("on purpose")).unwrap();
        writer.join().unwrap_err();
        assert_eq!(metrics.panics.get(), 1);
        System::new().block_on(async {
            let server = HttpServer::new(|| {
                App::new()
                    .route(
                        "/actor",
                        web::get().to(|| async {
                            Panicking.start();
                            "started"
                        }),
                    )
                    .route(
                        "/handler",
                        web::get().to(|| async {
                            if true {
                                panic!("on purpose");
                            }
                            "never"
                        }),
                    )
                    .route(
                        "/block",
                        web::get().to(|| async {
                            let done = web::block(|| panic!("on purpose")).await;
                            if done.is_err() { "caught" } else { "never" }
                        }),
                    )
                    .route("/fine", web::get().to(|| async { "fine" }))
            });
            // One worker, so that it is the one that survives.
            let server = server.workers(1).bind("127.0.0.1:0").unwrap();
            let address = server.addrs()[0];
            actix_web::rt::spawn(server.run());
            let ask = move |path: &'static str| {
                web::block(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    let head =
                        format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
                    stream.write_all(head.as_bytes()).unwrap();
                    let mut answer = String::new();
                    // The connection of a handler that panics just ends.
                    let _ended = stream.read_to_string(&mut answer);
                    answer
                })
            };
            for (path, word, panics) in [
                ("/handler", "", 2),
                ("/block", "caught", 3),
                ("/actor", "started", 4),
                ("/fine", "fine", 4),
            ] {
                let answer = ask(path).await.unwrap();
                assert!(answer.ends_with(word), "{path}: {answer}");
                for _ in 0..1_000 {
                    if metrics.panics.get() >= panics {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                assert_eq!(metrics.panics.get(), panics, "{path}");
            }
            assert!(ask("/fine").await.unwrap().ends_with("fine"));
        });
    }

    #[test]
    #[ignore = "run by another test"]
    fn panic_of_a_vital_actor() {
        install_counted();
        System::new().block_on(async {
            let arbiter = Arbiter::new();
            make_vital(&arbiter);
            Panicking::start_in_arbiter(&arbiter.handle(), |_| Panicking);
            tokio::time::sleep(Duration::from_secs(60)).await;
        });
    }

    #[test]
    #[ignore = "run by another test"]
    fn panic_of_an_unknown_thread() {
        install_counted();
        let thread = std::thread::spawn(|| panic!("on purpose"));
        assert!(thread.join().is_err());
    }
}
