//! Messages of ttrpc and of NRI (containerd/nri, `pkg/api/api.proto`, package `nri.pkg.api.v1alpha1`): the fields that are
//! looked at, under their numbers there. The others are skipped.

use prost::Message;

/// The service that plugins call.
pub(super) const RUNTIME_SERVICE: &str = "nri.pkg.api.v1alpha1.Runtime";
/// gRPC's code for a method that is not there.
pub(super) const UNIMPLEMENTED: i32 = 12;

/// ttrpc's `Request`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) method: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) payload: Vec<u8>,
}

/// ttrpc's `Response`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) payload: Vec<u8>,
}

/// `google.rpc.Status`; code 0: it went well.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

/// `RegisterPluginRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct RegisterPlugin {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// Two digits: plugins are called in this order.
    #[prost(string, tag = "2")]
    pub(super) index: String,
}

/// `ConfigureRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Configure {
    #[prost(string, tag = "2")]
    pub(super) runtime_name: String,
}

/// `ConfigureResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Configured {
    /// A bit for each event that is wanted, from bit 0 for number 1.
    #[prost(int32, tag = "2")]
    pub(super) events: i32,
}

/// `SynchronizeRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Synchronize {
    #[prost(message, repeated, tag = "1")]
    pub(super) pods: Vec<PodSandbox>,
    #[prost(message, repeated, tag = "2")]
    pub(super) containers: Vec<Container>,
    /// Not all of it: another one follows.
    #[prost(bool, tag = "3")]
    pub(super) more: bool,
}

/// `SynchronizeResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Synchronized {
    /// As in the request, where the plugin takes it in parts.
    #[prost(bool, tag = "2")]
    pub(super) more: bool,
}

/// What the requests of all events have in common.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Lifecycle {
    #[prost(message, optional, tag = "1")]
    pub(super) pod: Option<PodSandbox>,
    #[prost(message, optional, tag = "2")]
    pub(super) container: Option<Container>,
}

/// `StateChangeEvent`: how containerd 1.7 tells of most events.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StateChange {
    #[prost(int32, tag = "1")]
    pub(super) event: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) pod: Option<PodSandbox>,
    #[prost(message, optional, tag = "3")]
    pub(super) container: Option<Container>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodSandbox {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) uid: String,
    #[prost(string, tag = "4")]
    pub(super) namespace: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Container {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) pod_sandbox_id: String,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    /// Since containerd 2.4.
    #[prost(message, optional, tag = "22")]
    pub(super) image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Image {
    /// Reference: `docker.io/library/nginx:1.29`.
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) digest: String,
}

/// What is subscribed to. Each one costs the runtime a wait, so these are all that is needed: names before the container's
/// cgroup is made, of which the kernel tells, and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    RunPodSandbox = 1,
    RemovePodSandbox = 3,
    CreateContainer = 4,
    RemoveContainer = 11,
}

impl Event {
    const ALL: [(Self, &str); 4] = [
        (Self::RunPodSandbox, "RunPodSandbox"),
        (Self::RemovePodSandbox, "RemovePodSandbox"),
        (Self::CreateContainer, "CreateContainer"),
        (Self::RemoveContainer, "RemoveContainer"),
    ];

    /// [`Configured::events`] of all.
    pub(super) fn mask() -> i32 {
        Self::ALL.iter().fold(0, |mask, (event, _)| mask | 1 << (*event as i32 - 1))
    }

    pub(super) fn of_method(method: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == method).map(|(event, _)| *event)
    }

    pub(super) fn of_number(number: i32) -> Option<Self> {
        Self::ALL.iter().find(|(event, _)| *event as i32 == number).map(|(event, _)| *event)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    /// A field whose value is as long as its text, by protobuf's encoding.
    fn text(number: u8, text: &str) -> Vec<u8> {
        bytes(number, text.as_bytes())
    }

    fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
        [&key(number, 2)[..], &[value.len() as u8], value].concat()
    }

    fn int(number: u8, value: u8) -> Vec<u8> {
        [&key(number, 0)[..], &[value]].concat()
    }

    fn key(number: u8, wire_type: u8) -> Vec<u8> {
        let key = u16::from(number) << 3 | u16::from(wire_type);
        if key < 0x80 { vec![key as u8] } else { vec![key as u8 | 0x80, (key >> 7) as u8] }
    }

    #[track_caller]
    fn check<M: Message + Default + PartialEq + Debug>(fields: &[Vec<u8>], expected: &M) {
        let bytes = fields.concat();
        assert_eq!(&M::decode(&*bytes).unwrap(), expected);
        // A message that is cut off may be an error, and never more than that.
        for end in 0..bytes.len() {
            let _may_fail = M::decode(&bytes[..end]);
        }
    }

    #[test]
    fn numbers_of_fields() {
        let string = str::to_owned;
        let pod = PodSandbox { id: string("p"), name: string("web-0"), uid: string("u"), namespace: string("shop") };
        let label = bytes(5, &[text(1, "app"), text(2, "web")].concat());
        let pod_fields = [text(1, "p"), text(2, "web-0"), text(3, "u"), text(4, "shop"), label.clone(), int(9, 7)];
        check(&pod_fields, &pod);
        let image = Image { name: string("a/b:1"), digest: string("sha256:0") };
        let container =
            Container { id: string("c"), pod_sandbox_id: string("p"), name: string("web"), image: Some(image) };
        let image = bytes(22, &[text(1, "a/b:1"), text(2, "sha256:0"), text(3, "sha256:1")].concat());
        let fields = [text(1, "c"), text(2, "p"), text(3, "web"), int(4, 3), label, int(12, 9), image];
        check(&fields, &container);
        let (pod_bytes, container_bytes) = (pod_fields.concat(), fields.concat());
        let both = (Some(pod.clone()), Some(container.clone()));
        let lifecycle = Lifecycle { pod: both.0.clone(), container: both.1.clone() };
        check(&[bytes(1, &pod_bytes), bytes(2, &container_bytes)], &lifecycle);
        let change = StateChange { event: 6, pod: both.0, container: both.1 };
        check(&[int(1, 6), bytes(2, &pod_bytes), bytes(3, &container_bytes)], &change);
        let synchronize = Synchronize { pods: vec![pod.clone(), pod], containers: vec![container], more: true };
        check(&[bytes(1, &pod_bytes), bytes(1, &pod_bytes), bytes(2, &container_bytes), int(3, 1)], &synchronize);
        check(&[text(1, "x"), text(2, "cri-o"), text(3, "1.37")], &Configure { runtime_name: string("cri-o") });
        check(
            &[text(1, "s"), text(2, "m"), bytes(3, &[1, 2]), int(4, 9)],
            &Request { service: string("s"), method: string("m"), payload: vec![1, 2] },
        );
        let status = Some(Status { code: 2, message: string("no") });
        check(
            &[bytes(1, &[int(1, 2), text(2, "no")].concat()), bytes(2, &[3])],
            &Response { status, payload: vec![3] },
        );
    }

    #[test]
    fn answers() {
        assert_eq!(Configured { events: 0b100 }.encode_to_vec(), int(2, 0b100));
        assert_eq!(Synchronized { more: true }.encode_to_vec(), int(2, 1));
        let register = RegisterPlugin { name: "inotrail".to_owned(), index: "99".to_owned() };
        assert_eq!(register.encode_to_vec(), [text(1, "inotrail"), text(2, "99")].concat());
    }

    #[test]
    fn events() {
        // containerd 1.7 knows no event after the eleventh, and hangs up on who does.
        assert_eq!(Event::mask(), 0b100_0000_1101);
        let check = |number, method, expected| {
            assert_eq!((Event::of_number(number), Event::of_method(method)), (expected, expected));
        };
        check(1, "RunPodSandbox", Some(Event::RunPodSandbox));
        check(4, "CreateContainer", Some(Event::CreateContainer));
        check(6, "StartContainer", None);
        check(11, "RemoveContainer", Some(Event::RemoveContainer));
        check(8, "UpdateContainer", None);
        check(i32::MIN, "", None);
    }
}
