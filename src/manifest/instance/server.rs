//! Reads `server` and `gpu`: where a server listens and what it computes on.

use crate::instance::EnvironmentValue;
use crate::instance::is_socket;
use crate::manifest::decode::{Fault, Section};
use crate::manifest::node::{Node, Scalar};
use crate::manifest::text::Span;
use crate::manifest::value::{duration, line, reference, truth, whole, word};
use crate::manifest::{Gpu, GpuBackend, Origin, Server};

/// Takes the fields of `server`, and where the port is written, unless under `defaults`.
pub(super) fn read_server(
    fields: &mut Section<'_, '_, '_>,
    whole_instance: bool,
) -> (Server, Option<Span>) {
    let host = fields
        .get("host", host)
        .unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = fields.get("port", whole(1..=65_535));
    let port_span = fields.span_of("port");
    let from_defaults = fields.origin_of("port") == Some(Origin::Defaults);
    if whole_instance && fields.node("port").is_none() {
        let message = "needs `server.port`";
        let hint = "write `server: { port: 8080 }` with a port of its own";
        fields.miss(message, hint);
    }
    let timeout = fields.get("timeout", |node| {
        let timeout = duration(node)?;
        let seconds = u32::try_from(timeout.as_secs())
            .ok()
            .filter(|_| timeout.subsec_nanos() == 0);
        seconds.ok_or_else(|| Fault::wants("whole seconds", node))
    });
    let front = fields.get("front", truth).unwrap_or(false);
    if front {
        let hint = "remove it; restarts stop the old server before they start the new one";
        fields.wrong("front", "`front` is not available in this version", hint);
    }
    let server = Server {
        host,
        port: port.unwrap_or(0),
        parallel: fields.get("parallel", slots).flatten(),
        timeout,
        api_key: fields.get("api_key", api_key),
        front,
    };
    (server, port.filter(|_| !from_defaults).map(|_| port_span))
}

fn host(node: &Node) -> Result<String, Fault> {
    let host = line(node)?;
    let socket = is_socket(&host);
    let plain = |c: char| !c.is_whitespace() && (socket || !matches!(c, '/' | '\\' | '@'));
    if host.starts_with('-') || !host.chars().all(plain) {
        let wanted = "an address, a host name, or a path that ends in `.sock`";
        return Err(Fault::wants(wanted, node));
    }
    Ok(host)
}

/// `None` for -1, which leaves it to the server, whatever a layer below says.
fn slots(node: &Node) -> Result<Option<u32>, Fault> {
    let is_left = |scalar: &Scalar| scalar.plain && scalar.text == "-1";
    if node.scalar().is_some_and(is_left) {
        return Ok(None);
    }
    whole(1..=1024)(node).map(Some)
}

fn api_key(node: &Node) -> Result<EnvironmentValue, Fault> {
    reference(node)?.ok_or_else(|| {
        Fault::says("must not be written here").hint(
            "put the key into a file that git ignores and write `api_key: { file: secrets/chat.key }`, or `{ from_env: NAME }`",
        )
    })
}

/// Takes the fields of `gpu`.
pub(super) fn read_gpu(fields: &mut Section<'_, '_, '_>) -> Gpu {
    const BACKENDS: &[(&str, GpuBackend)] = &[
        ("cpu", GpuBackend::Cpu),
        ("vulkan", GpuBackend::Vulkan),
        ("cuda", GpuBackend::Cuda),
        ("metal", GpuBackend::Metal),
        ("rocm", GpuBackend::Rocm),
        ("hip", GpuBackend::Rocm),
        ("sycl", GpuBackend::Sycl),
    ];
    Gpu {
        backend: fields.get("backend", word(BACKENDS)),
        device_id: fields.get("device_id", whole(0..=255)),
        layers: fields.get("layers", whole(-1..=1_000_000)),
        require: fields.get("require", truth).unwrap_or(false),
    }
}
