//! Gives each node a source address of its own, so that an endpoint can tell which node has connected.

use std::net::{IpAddr, Ipv4Addr};

use super::TestRelay;
use super::preload::PreloadLibrary;

/// The addresses of the nodes. It must exist for as long as nodes start.
pub(crate) struct SourceAddresses(PreloadLibrary);

impl SourceAddresses {
    #[track_caller]
    pub(crate) fn build() -> Self {
        Self(PreloadLibrary::build("tests/cluster/harness/source_address.c"))
    }

    /// Makes the node of this number connect from its address, from its next start on.
    pub(crate) fn configure(&self, number: usize, node: &mut TestRelay) {
        let address = Ipv4Addr::new(127, 0, 1, u8::try_from(number).expect("few nodes") + 1).to_string();
        let variables = [("LD_PRELOAD", self.0.path.display().to_string()), ("SOURCE_ADDRESS", address)];
        node.set_environment(variables.map(|(name, value)| (name.to_owned(), value.into())).into());
    }

    /// The number of the node that connects from this address.
    pub(crate) fn node_of(address: IpAddr) -> Option<usize> {
        match address {
            IpAddr::V4(address) => match address.octets() {
                [127, 0, 1, number] => usize::from(number).checked_sub(1),
                _ => None,
            },
            IpAddr::V6(_) => None,
        }
    }
}
