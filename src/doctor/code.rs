//! The kinds of things that are looked at and of things that are found, each under a word that stays
//! the same.

use schemars::JsonSchema;
use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// It works, and should not stay so.
    Warning,
    /// Something that is wanted does not work, or anybody may do as they like with it.
    Broken,
}

/// What is looked at, in the order it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// GPUs and their drivers, against what instances ask for.
    Gpu,
    /// A Vulkan loader with a driver, against the same.
    Vulkan,
    /// This machine's C library, against what builds need.
    Glibc,
    /// The CUDA runtime beside CUDA builds.
    Cudart,
    /// Limits of processes and of their control group.
    Limits,
    /// The clock.
    Clock,
    /// Variables that mean something to servers.
    Environment,
    /// A token for the release source's API.
    Token,
    /// The release source.
    Source,
    /// What was written, and our own files.
    Files,
    /// The builds that are installed.
    Builds,
    /// Builds that are pinned and known to be bad.
    Pins,
    /// Who may read and change what.
    Permissions,
    /// Free disk.
    Disk,
    /// The lock of passes.
    Locks,
    /// Servers and their supervisors.
    Servers,
    /// The ports of instances.
    Ports,
    /// Who can reach servers.
    Exposure,
}

impl Check {
    /// The word people read, the same as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Vulkan => "vulkan",
            Self::Glibc => "glibc",
            Self::Cudart => "cudart",
            Self::Limits => "limits",
            Self::Clock => "clock",
            Self::Environment => "environment",
            Self::Token => "token",
            Self::Source => "source",
            Self::Files => "files",
            Self::Builds => "builds",
            Self::Pins => "pins",
            Self::Permissions => "permissions",
            Self::Disk => "disk",
            Self::Locks => "locks",
            Self::Servers => "servers",
            Self::Ports => "ports",
            Self::Exposure => "exposure",
        }
    }
}

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// An instance cannot do without a GPU that is not there, or whose driver is too old.
    RequiredGpuUnusable,
    /// An instance asks for such a GPU, and would compute on the processor.
    GpuUnusable,
    /// A server that asked for a GPU says that it found none.
    RunsWithoutGpu,
    /// An instance cannot do without Vulkan, which lacks its GPU, loader or driver.
    RequiredVulkanUnusable,
    /// An instance asks for Vulkan, and would compute on the processor.
    VulkanUnusable,
    /// A build that is used needs a newer glibc, or glibc at all.
    GlibcTooOld,
    /// A part of a build that is loaded where it can be needs a newer glibc.
    GlibcTooOldForBackend,
    /// A build that is pinned and not installed was built for a newer glibc.
    GlibcMayBeTooOld,
    /// A CUDA build lacks the CUDA runtime.
    CudartMissing,
    /// Few files may be open at once.
    FewOpenFiles,
    /// Few processes and threads may run at once.
    FewProcesses,
    /// A model is to be locked in memory, and is larger than what may be locked.
    LockLimit,
    /// A model is larger than what the control group may use.
    MemoryLimit,
    /// A server that crashes leaves its whole memory behind.
    CoreDumps,
    /// The clock stands before this program was made.
    ClockBehind,
    /// The clock is more than a day off.
    ClockFarOff,
    /// The clock is some minutes off.
    ClockOff,
    /// A file comes from the future.
    FileFromTheFuture,
    /// A variable that a server started by hand would take for an option.
    StrayArgument,
    /// There is no token, so that few requests are answered.
    NoToken,
    /// The token cannot be sent.
    BadToken,
    /// The source refuses the token.
    TokenRefused,
    /// The source cannot be had, and something has to be asked of it.
    NeededSourceUnreachable,
    /// The source cannot be had, and nothing has to be asked of it now.
    SourceUnreachable,
    /// The source answers, and not as one.
    SourceWrong,
    /// No request is left for now.
    QuotaUsedUp,
    /// Few requests are left for now.
    QuotaLow,
    /// There is no manifest.
    ManifestMissing,
    /// Something in the manifest or a config file is wrong.
    ManifestMistake,
    /// A file of ours is damaged.
    FileDamaged,
    /// A file of ours was written by a later version.
    FileOfLaterVersion,
    /// Lines of `history.jsonl` cannot be read.
    HistoryDamaged,
    /// A build that is used is damaged.
    BuildDamaged,
    /// A build that nothing uses is damaged.
    UnusedBuildDamaged,
    /// A build lacks a library that comes with it.
    LibraryMissing,
    /// A build has a known security hole that a later one has not.
    VulnerableBuild,
    /// A build is known to do something badly.
    KnownBadBuild,
    /// A build was published with few of its files.
    IncompleteRelease,
    /// Everybody on this machine may change what is run or read here.
    WritableByAll,
    /// A group may change what is run or read here.
    WritableByGroup,
    /// Others may read a secret.
    SecretReadable,
    /// Others may look into `.llama-orch/`.
    StateReadable,
    /// The root belongs to somebody else.
    OtherOwner,
    /// The root lies on a network file system.
    NetworkRoot,
    /// The root cannot be written to.
    RootNotWritable,
    /// Not even our own files can be written.
    DiskFull,
    /// What is to be installed does not fit.
    NoSpaceToInstall,
    /// There is little room left.
    DiskLow,
    /// A pass is at work.
    PassAtWork,
    /// A pass has been at work for very long, or whoever began it is gone.
    PassStuck,
    /// A server lives that no file of ours knows.
    UnknownServer,
    /// A server lives and nobody watches it.
    UnsupervisedServer,
    /// A supervisor or server is stopped by a signal.
    Suspended,
    /// What a state says of processes is not so.
    StateContradicted,
    /// A supervisor speaks a protocol that is not understood here.
    SupervisorNotUnderstood,
    /// A supervisor runs an older version of this program.
    OlderSupervisor,
    /// A supervisor runs another copy of this program.
    OtherSupervisor,
    /// Somebody else listens where an instance is to.
    PortHeld,
    /// Whoever reaches a server may use it.
    OpenWithoutKey,
}

impl Code {
    /// How bad it is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::RequiredGpuUnusable
            | Self::RequiredVulkanUnusable
            | Self::GlibcTooOld
            | Self::CudartMissing
            | Self::ClockBehind
            | Self::ClockFarOff
            | Self::BadToken
            | Self::TokenRefused
            | Self::NeededSourceUnreachable
            | Self::SourceWrong
            | Self::ManifestMissing
            | Self::ManifestMistake
            | Self::FileDamaged
            | Self::FileOfLaterVersion
            | Self::BuildDamaged
            | Self::LibraryMissing
            | Self::WritableByAll
            | Self::RootNotWritable
            | Self::DiskFull
            | Self::NoSpaceToInstall
            | Self::UnknownServer
            | Self::PortHeld => Severity::Broken,
            Self::GpuUnusable
            | Self::RunsWithoutGpu
            | Self::VulkanUnusable
            | Self::GlibcTooOldForBackend
            | Self::GlibcMayBeTooOld
            | Self::FewOpenFiles
            | Self::FewProcesses
            | Self::LockLimit
            | Self::MemoryLimit
            | Self::ClockOff
            | Self::FileFromTheFuture
            | Self::SourceUnreachable
            | Self::QuotaUsedUp
            | Self::UnusedBuildDamaged
            | Self::VulnerableBuild
            | Self::KnownBadBuild
            | Self::IncompleteRelease
            | Self::WritableByGroup
            | Self::SecretReadable
            | Self::StateReadable
            | Self::OtherOwner
            | Self::NetworkRoot
            | Self::DiskLow
            | Self::PassStuck
            | Self::UnsupervisedServer
            | Self::Suspended
            | Self::StateContradicted
            | Self::SupervisorNotUnderstood
            | Self::OpenWithoutKey => Severity::Warning,
            Self::CoreDumps
            | Self::StrayArgument
            | Self::NoToken
            | Self::QuotaLow
            | Self::HistoryDamaged
            | Self::PassAtWork
            | Self::OlderSupervisor
            | Self::OtherSupervisor => Severity::Note,
        }
    }
}
