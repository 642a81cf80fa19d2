//! Who makes the simulated devices, and how they differ.

use crate::{Oddities, Oddity};

/// Which tree a device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataModel {
    /// `InternetGatewayDevice.`
    Tr098,
    /// `Device.`
    Tr181,
}

impl DataModel {
    /// The root object, with its dot.
    pub fn root(self) -> &'static str {
        match self {
            DataModel::Tr098 => "InternetGatewayDevice.",
            DataModel::Tr181 => "Device.",
        }
    }
}

/// A maker and one of its products: what thousands of devices have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vendor {
    /// DeviceId.Manufacturer.
    pub manufacturer: &'static str,
    /// DeviceId.OUI.
    pub oui: &'static str,
    /// DeviceId.ProductClass.
    pub product_class: &'static str,
    /// DeviceInfo.ModelName.
    pub model_name: &'static str,
    /// DeviceInfo.HardwareVersion.
    pub hardware_version: &'static str,
    /// DeviceInfo.SoftwareVersion as delivered.
    pub software_version: &'static str,
    /// Which tree.
    pub data_model: DataModel,
    /// The protocol version its Informs speak.
    pub cwmp_version: cwmp::Version,
    /// Has the parameters of Annex K.
    pub supports_xmpp: bool,
    /// Has the parameters of Annex G.
    pub supports_stun: bool,
    /// What its products do differently.
    pub oddities: Oddities,
}

impl Vendor {
    /// Those that a mixed fleet is made of; the first one is without oddities.
    ///
    /// The names are invented, but for MikroTik-like and Zhone-like habits, and the OUIs are
    /// of the locally administered range, which no maker owns.
    pub const ALL: [Vendor; 6] = [
        Vendor {
            manufacturer: "Northlight",
            oui: "02A1B2",
            product_class: "NL-Home6",
            model_name: "Home 6 AX",
            hardware_version: "1.2",
            software_version: "3.4.1",
            data_model: DataModel::Tr181,
            cwmp_version: cwmp::Version::V1_4,
            supports_xmpp: true,
            supports_stun: true,
            oddities: Oddities::NONE,
        },
        Vendor {
            manufacturer: "Baltica Networks",
            oui: "06C3D4",
            product_class: "BN-F620",
            model_name: "F620 ONT",
            hardware_version: "V5.0",
            software_version: "V5.0.10P2T3",
            data_model: DataModel::Tr098,
            cwmp_version: cwmp::Version::V1_0,
            supports_xmpp: false,
            supports_stun: true,
            oddities: Oddities::NONE.with(Oddity::LowerCaseOui),
        },
        Vendor {
            manufacturer: "Zephyr Access",
            oui: "0AE5F6",
            product_class: "ZA-24xx-Router",
            model_name: "ZA 2426",
            hardware_version: "0040-48-02",
            software_version: "S3.1.205",
            data_model: DataModel::Tr098,
            cwmp_version: cwmp::Version::V1_0,
            supports_xmpp: false,
            supports_stun: false,
            oddities: Oddities::NONE
                .with(Oddity::NullParameterKey)
                .with(Oddity::MaxEnvelopes2)
                .with(Oddity::WrongArrayCounts),
        },
        Vendor {
            manufacturer: "Quercus",
            oui: "0E0718",
            product_class: "Q-Mesh",
            model_name: "Mesh Pro",
            hardware_version: "r3",
            software_version: "22.03.5",
            data_model: DataModel::Tr181,
            cwmp_version: cwmp::Version::V1_2,
            supports_xmpp: true,
            supports_stun: false,
            oddities: Oddities::NONE.with(Oddity::ExpectContinue),
        },
        Vendor {
            manufacturer: "Tikrow",
            oui: "12293A",
            product_class: "hAP-like",
            model_name: "hAP-like AC",
            hardware_version: "v1.0",
            software_version: "6.49.10",
            data_model: DataModel::Tr181,
            cwmp_version: cwmp::Version::V1_2,
            supports_xmpp: false,
            supports_stun: false,
            oddities: Oddities::NONE
                .with(Oddity::NoHeader)
                .with(Oddity::RootNamesRefused),
        },
        Vendor {
            manufacturer: "Old Harbour",
            oui: "164B5C",
            product_class: "OH780",
            model_name: "780 WL",
            hardware_version: "BANT-R",
            software_version: "6.2.17.5",
            data_model: DataModel::Tr098,
            cwmp_version: cwmp::Version::V1_0,
            supports_xmpp: false,
            supports_stun: true,
            oddities: Oddities::NONE
                .with(Oddity::CookieVersioned)
                .with(Oddity::Chunked)
                .with(Oddity::NoMoreRequests)
                .with(Oddity::ExtraEmptyPost)
                .with(Oddity::BooleanDigitsOnly),
        },
    ];

    /// A plain TR-181 device that can everything.
    pub fn tr181() -> Vendor {
        let [first, ..] = Vendor::ALL;
        first
    }

    /// A TR-098 device without oddities.
    pub fn tr098() -> Vendor {
        let [_, second, ..] = Vendor::ALL;
        Vendor {
            oddities: Oddities::NONE,
            ..second
        }
    }
}
