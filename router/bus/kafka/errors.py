"""The one place where kafka-python's exceptions become ours.

A class is looked up by itself, then by its bases; what Kafka calls retriable is `Unavailable`. A test walks
through the whole of `kafka.errors`: a class that is neither retriable nor named here fails it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kafka import errors

from router.errors import Fenced, Invalid, OperatorFault, RouterError, Unavailable

#: Somebody else took our name, our place in the group, or our partition.
FENCED: Final = (
    errors.CommitFailedError,
    errors.FencedInstanceIdError,
    errors.FencedMemberEpochError,
    errors.IllegalGenerationError,
    errors.InvalidProducerEpochError,
    errors.ProducerFencedError,
    errors.StaleMemberEpochError,
    errors.TransactionCoordinatorFencedError,
    errors.UnknownMemberIdError,
    errors.UnreleasedInstanceIdError,
)

#: This record can never be written.
MESSAGE: Final = (
    errors.InvalidRecordError,
    errors.InvalidTimestampError,
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
)

#: A person must mend the cluster's or our configuration: class -> what to look at.
OPERATOR: Final[dict[type[BaseException], str]] = {
    errors.AuthorizationError: "the cluster does not allow us this: check the ACLs of our user",
    errors.TopicAuthorizationFailedError: "the cluster does not allow us this topic: check the ACLs of our user",
    errors.GroupAuthorizationFailedError: "the cluster does not allow us this group: check the ACLs of our user",
    errors.ClusterAuthorizationFailedError: "the cluster does not allow us to manage it: check the ACLs of our user",
    errors.TransactionalIdAuthorizationFailedError: "the cluster does not allow us transactions: check the ACLs",
    errors.DelegationTokenAuthorizationFailedError: "the cluster does not allow us this token",
    errors.SaslAuthenticationFailedError: "the cluster refuses our name or password",
    errors.UnsupportedSaslMechanismError: "the cluster does not speak this SASL mechanism",
    errors.IllegalSaslStateError: "the listener of the broker does not expect SASL: check the port",
    errors.UnacceptableCredentialError: "the cluster refuses our credentials",
    errors.SecurityDisabledError: "security is disabled in the cluster",
    errors.DelegationTokenAuthDisabledError: "delegation tokens are disabled in the cluster",
    errors.DelegationTokenExpiredError: "our delegation token has expired",
    errors.DelegationTokenNotFoundError: "our delegation token is unknown",
    errors.DelegationTokenOwnerMismatchError: "our delegation token is another's",
    errors.DelegationTokenRequestNotAllowedError: "a delegation token can't be asked for this way",
    errors.InvalidPrincipalTypeError: "the cluster refuses the type of our name",
    errors.PrincipalDeserializationFailureError: "the cluster can't read our name",
    errors.UnsupportedVersionError: "the brokers are too old",
    errors.IncompatibleBrokerVersion: "the brokers are too old",
    errors.UnrecognizedBrokerVersion: "the brokers' version can't be told",
    errors.UnsupportedForMessageFormatError: "the message format of a topic is too old",
    errors.UnsupportedCodecError: "the Python package of this compression is not installed",
    errors.UnsupportedCompressionTypeError: "the brokers do not know this compression",
    errors.KafkaConfigurationError: "our settings of Kafka contradict each other",
    errors.InvalidConfigurationError: "the cluster refuses a setting of a topic",
    errors.PolicyViolationError: "a policy of the cluster refuses this",
    errors.InvalidTopicError: "the cluster refuses the name of a topic",
    errors.InvalidPartitionsError: "the cluster refuses the number of partitions",
    errors.InvalidReplicationFactorError: "there are fewer brokers than the replication factor asks for",
    errors.InvalidReplicationAssignmentError: "the cluster refuses where the replicas shall stand",
    errors.InvalidRequiredAcksError: "the cluster refuses acks=all",
    errors.InvalidSessionTimeoutError: "the session time-out is outside what the brokers allow",
    errors.InvalidTransactionTimeoutError: "the publish time-out is longer than the brokers allow",
    errors.InvalidGroupIdError: "the cluster refuses the name of a group",
    errors.InconsistentGroupProtocolError: "other members of the group use another assignment strategy",
    errors.UnsupportedAssignorError: "the cluster does not know the assignment strategy",
    errors.GroupMaxSizeReachedError: "the group has as many members as the brokers allow",
    errors.GroupSubscribedToTopicError: "the group still reads this topic",
    errors.NonEmptyGroupError: "the group still has members",
    errors.TopicDeletionDisabledError: "the cluster does not allow records to be deleted",
    errors.TopicAlreadyExistsError: "the topic exists already",
    errors.OffsetMetadataTooLargeError: "the metadata of an offset is too large",
    errors.InvalidCommitOffsetSizeError: "the brokers refuse the size of an offset",
    errors.LogTruncationError: "a topic lost records that were acknowledged (unclean election): look at its replicas",
    errors.CorruptRecordError: "a record on a broker is damaged",
    errors.CorruptRecordException: "a record on a broker is damaged",
    errors.InconsistentClusterIdError: "two clusters answer under one name",
    errors.UnsupportedEndpointTypeError: "this address is a controller's, not a broker's",
    errors.MismatchedEndpointTypeError: "this address is a controller's, not a broker's",
    errors.TelemetryTooLargeError: "the brokers refuse our telemetry",
}

#: Not retriable as the same request, but we begin anew: a new connection, producer, transaction or membership.
AGAIN: Final = (
    errors.KafkaError,
    errors.BrokerResponseError,
    errors.BrokerIdNotRegisteredError,
    errors.BrokerNotAvailableError,
    errors.DuplicateBrokerRegistrationError,
    errors.DuplicateResourceError,
    errors.DuplicateSequenceNumberError,
    errors.DuplicateVoterError,
    errors.FeatureUpdateFailedError,
    errors.FencedStateEpochError,
    errors.GroupIdNotFoundError,
    errors.IllegalArgumentError,
    errors.IllegalStateError,
    errors.InconsistentVoterSetError,
    errors.IneligibleReplicaError,
    errors.InvalidFetchRequestError,
    errors.InvalidProducerIdMappingError,
    errors.InvalidReceiveError,
    errors.InvalidRecordStateError,
    errors.InvalidRegistrationError,
    errors.InvalidRequestError,
    errors.InvalidTxnStateError,
    errors.InvalidUpdateVersionError,
    errors.InvalidVoterKeyError,
    errors.KafkaProtocolError,
    errors.LogDirNotFoundError,
    errors.MemberIdRequiredError,
    errors.NewLeaderElectedError,
    errors.NoError,
    errors.NoOffsetForPartitionError,
    errors.NoReassignmentInProgressError,
    errors.OffsetMovedToTieredStorageError,
    errors.OffsetOutOfRangeError,
    errors.OperationNotAttemptedError,
    errors.OutOfOrderSequenceNumberError,
    errors.PositionOutOfRangeError,
    errors.QuotaViolationError,
    errors.ReassignmentInProgressError,
    errors.RebalanceInProgressError,
    errors.ResourceNotFoundError,
    errors.SnapshotNotFoundError,
    errors.StaleBrokerEpochError,
    errors.StaleControllerEpochError,
    errors.TransactionAbortableError,
    errors.TransactionAbortedError,
    errors.TransactionalIdNotFoundError,
    errors.UnknownBrokerIdError,
    errors.UnknownControllerIdError,
    errors.UnknownError,
    errors.UnknownProducerIdError,
    errors.UnknownSubscriptionIdError,
    errors.VoterNotFoundError,
)


def trouble(error: BaseException) -> RouterError:
    """Our error for one of Kafka's client. Only the class is kept: its text may quote a record."""
    kind = type(error)
    code = f"KAFKA-{kind.__name__.removesuffix('Error').removesuffix('Exception')}"
    if isinstance(error, FENCED):
        return Fenced(code, "", "another process took our place")
    if isinstance(error, MESSAGE):
        return Invalid(code, "", "the cluster does not take this record: too large, or not well-formed")
    for base in kind.__mro__:
        if base in OPERATOR:
            return OperatorFault(code, "", OPERATOR[base])
    if isinstance(error, ssl.SSLCertVerificationError):
        return OperatorFault("KAFKA-TLS", "", "the broker's certificate can't be verified")
    if isinstance(error, FileNotFoundError | PermissionError):
        return OperatorFault("KAFKA-FILE", "", "a certificate or key file can't be read")
    return Unavailable(code, "", "Kafka can't be used now")


@contextmanager
def mapped() -> Iterator[None]:
    """No exception of kafka-python leaves: not even the built-in ones it raises while it is torn down."""
    try:
        yield
    except (errors.KafkaError, OSError, TimeoutError, RuntimeError) as error:
        if isinstance(error, RouterError):
            raise
        raise trouble(error) from error
