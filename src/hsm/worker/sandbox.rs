//! What the kernel refuses to a worker from the moment before the module is loaded: no privileges are gained, and no socket
//! is made but of the families that the configuration names. It holds beside the unit's own sandbox, and without one.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use nix::sys::prctl;
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter,
};

use crate::hsm::AddressFamily;

/// Puts this process, and the threads it makes later, under the filter. It cannot be taken off again.
///
/// Where filters for the machine's architecture are not known, the unit's sandbox alone holds; the log says so.
///
/// # Errors
/// The kernel has no filters of system calls.
pub(in crate::hsm) fn enter(families: &[AddressFamily]) -> io::Result<()> {
    prctl::set_no_new_privs()?;
    let Ok(machine) = std::env::consts::ARCH.try_into() else {
        tracing::warn!("no filter of system calls is known for this machine: hsm.address_families is not enforced");
        return Ok(());
    };
    let program = filter(families, machine).map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}

fn filter(
    families: &[AddressFamily],
    machine: TargetArch,
) -> Result<seccompiler::BpfProgram, seccompiler::BackendError> {
    let mut allowed = vec![libc::AF_UNIX];
    for family in families {
        match family {
            AddressFamily::Inet => allowed.extend([libc::AF_INET, libc::AF_INET6]),
            AddressFamily::Netlink => allowed.push(libc::AF_NETLINK),
        }
    }
    let mut others = Vec::with_capacity(allowed.len());
    for family in allowed {
        others.push(SeccompCondition::new(
            0,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Ne,
            u64::from(family.unsigned_abs()),
        )?);
    }
    let refused = [
        (libc::SYS_socket, vec![SeccompRule::new(others)?]),
        // it makes sockets by another way
        (libc::SYS_io_uring_setup, Vec::new()),
    ];
    SeccompFilter::new(
        BTreeMap::from(refused),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EAFNOSUPPORT.unsigned_abs()),
        machine,
    )?
    .try_into()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// What a thread can do that entered the sandbox; other threads of the tests are as before.
    fn inside<T: Send + 'static>(families: &'static [AddressFamily], what: fn() -> T) -> T {
        let thread = std::thread::spawn(move || {
            enter(families).unwrap();
            what()
        });
        thread.join().unwrap()
    }

    fn ip() -> Option<i32> {
        UdpSocket::bind("127.0.0.1:0").err().and_then(|e| e.raw_os_error())
    }

    #[test]
    fn sockets_are_of_the_families_named() {
        assert_eq!(ip(), None, "this machine has a loopback");
        assert_eq!(inside(&[], ip), Some(libc::EAFNOSUPPORT));
        assert_eq!(inside(&[AddressFamily::Netlink], ip), Some(libc::EAFNOSUPPORT));
        assert_eq!(inside(&[AddressFamily::Inet], ip), None);
        assert!(inside(&[], || UnixDatagram::unbound().is_ok()));
        assert_eq!(ip(), None, "other threads are as before");
    }

    #[test]
    fn no_privileges_are_gained() {
        assert!(inside(&[], || prctl::get_no_new_privs().unwrap()));
    }
}
