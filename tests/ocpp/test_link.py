"""The RPC state of one connection: one open CALL, priorities, deadlines, repeats (OCPP-J 4.1.1)."""

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import Raw

from hub.ocpp.errors import LinkFullError
from hub.ocpp.link import (
    Answered,
    Arrived,
    Ask,
    Displaced,
    Expired,
    Link,
    Lost,
    Malformed,
    Priority,
    Refused,
    Repeated,
    Stray,
    TimedOut,
)
from hub.ocpp.replies import ReplyCache
from hub.ocpp.versions import Fault, Version


def a_link(version: Any = Version.V16, capacity: Any = 64, replies: Any = None) -> Any:
    ids = itertools.count(1)
    return Link(
        version,
        replies if replies is not None else ReplyCache(),
        lambda: f"c{next(ids)}",
        capacity=capacity,
    )


def an_ask(
    ref: Any = "r",
    priority: Any = Priority.CONFIGURE,
    expires: Any = 100.0,
    patience: Any = 30.0,
    action: Any = "Reset",
) -> Any:
    return Ask(
        ref=ref,
        action=action,
        payload=b'{"type":"Soft"}',
        priority=priority,
        expires=expires,
        patience=patience,
    )


def test_our_call_is_answered_by_its_message_id() -> None:
    link, ask = a_link(), an_ask()
    link.submit(ask)
    assert link.next_frame(0) == b'[2,"c1","Reset",{"type":"Soft"}]'
    answered = link.receive('[3,"c1",{"status":"Accepted"}]', 1)
    assert isinstance(answered, Answered)
    assert answered.ask is ask
    assert bytes(answered.payload) == b'{"status":"Accepted"}'


def test_a_second_call_waits_for_the_answer_to_the_first() -> None:
    link = a_link()
    link.submit(an_ask("first"))
    link.submit(an_ask("second"))
    assert link.next_frame(0) is not None
    assert link.next_frame(0) is None
    link.receive('[3,"c1",{}]', 1)
    assert link.next_frame(1) is not None
    assert link.open.ref == "second"


def test_a_call_error_is_a_normal_outcome() -> None:
    link, ask = a_link(), an_ask()
    link.submit(ask)
    link.next_frame(0)
    refused = link.receive('[4,"c1","NotSupported","no",{}]', 1)
    assert refused == Refused(ask, "NotSupported", "no", Raw(b"{}"))
    assert link.open is None


def test_an_unreadable_answer_to_our_call_refuses_it() -> None:
    link, ask = a_link(), an_ask()
    link.submit(ask)
    link.next_frame(0)
    refused = link.receive('[3,"c1"]', 1)
    assert isinstance(refused, Refused)
    assert (refused.ask, refused.code) == (ask, "FormatViolation")


def test_quirk_44_answers_to_nothing_are_dropped_and_counted() -> None:
    link = a_link()
    link.submit(an_ask(patience=5))
    link.next_frame(0)
    assert link.receive('[3,"other",{}]', 1) == Stray("other", "unknown")
    assert link.receive("[3,7,{}]", 1) == Stray(7, "unknown")
    assert link.due(5) == [TimedOut(an_ask(patience=5))]
    assert link.receive('[3,"c1",{}]', 6) == Stray("c1", "late")
    link.submit(an_ask())
    link.next_frame(6)
    link.receive('[3,"c2",{}]', 7)
    assert link.receive('[4,"c2","GenericError","",{}]', 8) == Stray("c2", "duplicate")
    assert link.counts == {"unknown": 2, "late": 1, "duplicate": 1}


def test_a_stop_overtakes_what_waits() -> None:
    link = a_link()
    for ref, priority in (
        ("report", 4),
        ("start", 1),
        ("report 2", 4),
        ("stop", 0),
        ("start 2", 1),
    ):
        link.submit(an_ask(ref, Priority(priority)))
    order = []
    while link.next_frame(0):
        order.append(link.open.ref)
        link.receive(f'[3,"c{len(order)}",{{}}]', 0)
    assert order == ["stop", "start", "start 2", "report", "report 2"]


def test_a_full_queue_gives_its_last_place_to_a_more_urgent_call_only() -> None:
    link = a_link(capacity=2)
    link.submit(an_ask("report", Priority.REPORT))
    link.submit(an_ask("report 2", Priority.REPORT))
    with pytest.raises(LinkFullError, match="2 calls already wait"):
        link.submit(an_ask("report 3", Priority.REPORT))
    displaced = link.submit(an_ask("stop", Priority.STOP))
    assert isinstance(displaced, Displaced)
    assert displaced.ask.ref == "report 2"
    assert link.waiting == 2


def test_a_call_whose_turn_comes_too_late_is_never_sent() -> None:
    link = a_link()
    link.submit(an_ask("slow", patience=50))
    link.next_frame(0)
    hurried = an_ask("hurried", expires=10)
    link.submit(hurried)
    assert link.wake_at() == 10
    assert link.due(9.9) == []
    link.receive('[3,"c1",{}]', 10)
    assert link.next_frame(10) is None
    assert link.due(10) == [Expired(hurried)]
    assert link.wake_at() is None


def test_closing_tells_what_was_sent_from_what_was_not() -> None:
    link = a_link()
    link.submit(an_ask("sent"))
    link.submit(an_ask("kept"))
    link.next_frame(0)
    assert link.close() == [Lost(an_ask("sent"), True), Lost(an_ask("kept"), False)]
    assert link.close() == []


def test_calls_may_cross() -> None:
    link = a_link()
    link.submit(an_ask())
    link.next_frame(0)
    arrived = link.receive('[2,"c1","Heartbeat",{}]', 0)
    assert isinstance(arrived, Arrived)
    assert link.open is not None


METERS = '[2,"1","MeterValues",{"connectorId":1}]'


def test_quirk_2_a_call_sent_again_gets_the_same_bytes() -> None:
    link = a_link()
    first = link.receive(METERS, 0).call
    sent = link.answer(first, Raw(b"{}"), 0)
    again = link.receive(METERS, 5)
    assert again == Repeated(first, sent)
    assert link.counts["repeated"] == 1


def test_a_call_sent_again_while_in_work_is_not_handled_twice() -> None:
    link = a_link()
    first = link.receive(METERS, 0).call
    assert link.receive(METERS, 1) == Repeated(first, None)
    link.answer(first, Raw(b"{}"), 2)
    assert isinstance(link.receive(METERS, 3), Repeated)


def test_a_call_sent_again_after_a_reconnect_gets_the_same_bytes() -> None:
    replies = ReplyCache()
    before, after = a_link(replies=replies), a_link(replies=replies)
    sent = before.answer(before.receive(METERS, 0).call, Raw(b"{}"), 0)
    assert after.receive(METERS, 9).reply == sent


@pytest.mark.parametrize(
    "other",
    [
        '[2,"1","StatusNotification",{"connectorId":1}]',
        '[2,"1","MeterValues",{"connectorId":2}]',
        '[2,1,"MeterValues",{"connectorId":1}]',
    ],
)
def test_peer_defect_f_the_same_id_with_anything_else_is_a_new_message(other: Any) -> None:
    link = a_link()
    link.answer(link.receive(METERS, 0).call, Raw(b"{}"), 0)
    assert isinstance(link.receive(other, 1), Arrived)


@pytest.mark.parametrize("action", ["Heartbeat", "BootNotification"])
def test_answers_about_now_are_never_replayed(action: Any) -> None:
    link = a_link()
    frame = f'[2,"1","{action}",{{}}]'
    link.answer(link.receive(frame, 0).call, Raw(b'{"currentTime":"t"}'), 0)
    assert isinstance(link.receive(frame, 1), Arrived)


def test_quirk_3_a_boot_forgets_the_answers_before_it() -> None:
    link = a_link()
    link.answer(link.receive(METERS, 0).call, Raw(b"{}"), 0)
    link.answer(link.receive('[2,"0","BootNotification",{}]', 1).call, Raw(b"{}"), 1)
    assert isinstance(link.receive(METERS, 2), Arrived)


def test_a_refused_call_is_handled_afresh_when_sent_again() -> None:
    link = a_link()
    refusal = link.refuse(link.receive(METERS, 0).call, Fault.SECURITY, "not booted")
    assert json.loads(refusal) == [4, "1", "SecurityError", "not booted", {}]
    assert isinstance(link.receive(METERS, 1), Arrived)


def test_answers_are_forgotten_by_age_and_over_capacity() -> None:
    replies = ReplyCache(capacity=3, max_age=60)
    link = a_link(replies=replies)
    frames = [f'[2,"{n}","MeterValues",{{}}]' for n in range(5)]
    for frame in frames:
        link.answer(link.receive(frame, 0).call, Raw(b"{}"), 0)
    assert len(replies) == 3
    assert isinstance(link.receive(frames[1], 1), Arrived)
    assert isinstance(link.receive(frames[2], 1), Repeated)
    assert isinstance(link.receive(frames[2], 61), Arrived)


def test_a_malformed_call_brings_the_error_to_send() -> None:
    malformed = a_link(Version.V201).receive('[2,"9"]', 0)
    assert isinstance(malformed, Malformed)
    assert malformed.reply is not None
    assert json.loads(malformed.reply)[:3] == [4, "9", "RpcFrameworkError"]


def test_an_empty_frame_is_counted_and_nothing_more() -> None:
    link = a_link()
    assert link.receive("", 0) is None
    assert link.counts == {"empty": 1}


@dataclass
class Heard:
    """What the model knows of one CALL the station made."""

    frame: str
    reply: bytes | None = None


@dataclass
class Sent:
    """What the model knows of one CALL of ours."""

    ask: Ask
    order: int
    outcomes: list[Any] = field(default_factory=list)


class LinkMachine(RuleBasedStateMachine):
    """A link between a caller of ours and a station that answers late, twice or not at all."""

    CAPACITY = 4

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.link = a_link(capacity=self.CAPACITY)
        self.asks: dict[str, Sent] = {}
        self.waiting: list[Ask] = []
        self.open: Any = None
        self.retired: list[str] = []
        self.heard: list[Heard] = []
        self.ids = 0

    def settle(self, event: Any) -> None:
        self.asks[event.ask.ref].outcomes.append(event)

    @rule(
        priority=st.sampled_from(list(Priority)),
        life=st.integers(1, 20),
        patience=st.integers(1, 20),
    )
    def submit(self, priority: Any, life: Any, patience: Any) -> None:
        ref = f"r{len(self.asks)}"
        ask = an_ask(ref, priority, self.now + life, patience)
        worst = max((a.priority for a in self.waiting), default=None)
        full = len(self.waiting) >= self.CAPACITY
        if full and worst <= priority:
            with pytest.raises(LinkFullError):
                self.link.submit(ask)
            return
        displaced = self.link.submit(ask)
        self.asks[ref] = Sent(ask, len(self.asks))
        assert (displaced is not None) == full
        if displaced:
            last = max(self.waiting, key=lambda a: (a.priority, self.asks[a.ref].order))
            assert displaced.ask is last
            self.waiting.remove(last)
            self.settle(displaced)
        self.waiting.append(ask)

    @rule()
    def send(self) -> None:
        frame = self.link.next_frame(self.now)
        alive = [a for a in self.waiting if a.expires > self.now]
        if self.open or not alive:
            assert frame is None
            return
        first = min(alive, key=lambda a: (a.priority, self.asks[a.ref].order))
        self.ids += 1
        assert json.loads(frame) == [2, f"c{self.ids}", "Reset", {"type": "Soft"}]
        self.waiting.remove(first)
        self.open = (f"c{self.ids}", first, self.now + first.patience)

    @precondition(lambda self: self.open)
    @rule(kind=st.sampled_from(["result", "error", "broken"]))
    def station_answers(self, kind: Any) -> None:
        message_id, ask, _ = self.open
        frame = {
            "result": f'[3,"{message_id}",{{"for":"{ask.ref}"}}]',
            "error": f'[4,"{message_id}","GenericError","",{{}}]',
            "broken": f'[3,"{message_id}"]',
        }[kind]
        event = self.link.receive(frame, self.now)
        assert isinstance(event, Answered if kind == "result" else Refused)
        assert event.ask is ask
        if isinstance(event, Answered):
            assert json.loads(bytes(event.payload)) == {"for": ask.ref}
        self.settle(event)
        self.retired.append(message_id)
        self.open = None

    @precondition(lambda self: self.retired)
    @rule(data=st.data())
    def station_answers_again(self, data: Any) -> None:
        message_id = data.draw(st.sampled_from(self.retired[-20:]))
        event = self.link.receive(f'[3,"{message_id}",{{}}]', self.now)
        assert isinstance(event, Stray)
        assert event.reason in {"late", "duplicate"}

    @rule(message_id=st.sampled_from(["x", 0, "c0", "c999999"]))
    def station_answers_nothing(self, message_id: Any) -> None:
        event = self.link.receive(json.dumps([3, message_id, {}]), self.now)
        assert event == Stray(message_id, "unknown")

    @rule(seconds=st.integers(1, 15))
    def time_passes(self, seconds: Any) -> None:
        self.now += seconds
        wake = self.link.wake_at()
        over = self.link.due(self.now)
        assert bool(over) == (wake is not None and wake <= self.now)
        for event in over:
            self.settle(event)
            if isinstance(event, TimedOut):
                assert self.open[1] is event.ask
                self.retired.append(self.open[0])
                self.open = None
            else:
                assert event.ask.expires <= self.now
                self.waiting.remove(event.ask)

    @rule(
        message_id=st.sampled_from(["1", "2", 1]),
        action=st.sampled_from(["MeterValues", "StatusNotification"]),
        connector=st.integers(1, 2),
    )
    def station_calls(self, message_id: Any, action: Any, connector: Any) -> None:
        frame = json.dumps([2, message_id, action, {"connectorId": connector}])
        known = next((h for h in self.heard if h.frame == frame), None)
        event = self.link.receive(frame, self.now)
        if known is None:
            assert isinstance(event, Arrived)
            self.heard.append(Heard(frame))
        else:
            assert isinstance(event, Repeated)
            assert event.reply == known.reply

    @precondition(lambda self: any(h.reply is None for h in self.heard))
    @rule(data=st.data(), refuse=st.booleans())
    def we_answer(self, data: Any, refuse: Any) -> None:
        heard = data.draw(st.sampled_from([h for h in self.heard if h.reply is None]))
        call = a_link().receive(heard.frame, 0).call
        if refuse:
            self.link.refuse(call, Fault.INTERNAL, "again please")
            self.heard.remove(heard)
        else:
            body = Raw(b'{"n":%d}' % len(self.heard))
            heard.reply = self.link.answer(call, body, self.now)
            assert json.loads(heard.reply)[:2] == [3, call.id]

    @rule()
    def station_reconnects(self) -> None:
        lost = self.link.close()
        for event in lost:
            assert event.sent == (self.open is not None and self.open[1] is event.ask)
            self.settle(event)
        assert len(lost) == len(self.waiting) + (self.open is not None)
        self.waiting, self.open, self.retired, self.ids = [], None, [], 0
        self.link = a_link(capacity=self.CAPACITY, replies=self.link.replies)
        self.heard = [h for h in self.heard if h.reply is not None]

    @invariant()
    def every_call_of_ours_waits_is_open_or_has_one_outcome(self) -> None:
        for ref, sent in self.asks.items():
            alive = sent.ask in self.waiting or (self.open and self.open[1] is sent.ask)
            assert len(sent.outcomes) == (0 if alive else 1), ref

    @invariant()
    def the_queue_is_bounded_and_one_call_is_open_at_most(self) -> None:
        assert self.link.waiting == len(self.waiting) <= self.CAPACITY
        assert self.link.open is (self.open[1] if self.open else None)


TestLinkMachine = LinkMachine.TestCase
TestLinkMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
