//! The property list of launchd (`launchd.plist(5)`).

use std::fmt::Write as _;

use super::{Service, xml};

/// The agent or daemon as a file.
pub fn launchd(service: &Service) -> String {
    let mut arguments = String::new();
    for argument in std::iter::once(service.program.as_str()).chain(service.arguments()) {
        // Writing to memory does not fail.
        let _ = writeln!(arguments, "    <string>{}</string>", xml(argument));
    }
    let (name, root) = (xml(&service.name), xml(&service.root));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>{name}</string>
  <key>ProgramArguments</key>
  <array>
{arguments}  </array>
  <key>WorkingDirectory</key>
  <string>{root}</string>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <!-- Servers outlive watch. -->
  <key>AbandonProcessGroup</key>
  <true/>
  <key>ProcessType</key>
  <string>Interactive</string>
  <key>StandardErrorPath</key>
  <string>{root}/.llama-orch/watch.log</string>
</dict>
</plist>
"#
    )
}
