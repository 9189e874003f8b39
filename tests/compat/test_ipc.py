"""Chapter 3 as it should go: who receives what, in which order, with which source."""

import ctypes

import drvs
from drvs.compat.mnx import *
from support.covers import covers
from support.guide import TIME_MS


def stay(me, codes):
    """Tell the test that it was done, and live on: what a process leaves pending goes with it."""
    assert set(codes) == {OK}, codes
    me.say("done")
    me.hear()


def respond(me, receive, answer, turns=1):
    """Receive, add 1 to the type, answer: `turns` times. Returns what was seen."""
    m, seen = message(), []
    for _ in range(turns):
        assert receive(m) == OK
        seen.append((m.m_source, m.m_type))
        m.m_type += 1
        assert answer(m.m_source, m) == OK
    return seen


@covers("mnx_send", "OK")
@covers("mnx_receive", "OK")
def test_a_message_goes_from_send_to_receive_whoever_comes_first(lab):
    def receiver(me):
        m = message()
        codes = [mnx_receive(ANY, m)]
        me.say("one")
        lab_sender = m.m_source
        codes.append(mnx_receive(lab_sender, m))
        return codes, m.m_type, m.m1_i1, m.m_source

    def sender(me, to):
        m = message(m_type=1, m1_i1=7)
        codes = [mnx_send(to, m)]
        me.hear()
        m.m_type = 2
        codes.append(mnx_send(to, m))
        return codes, mnx_errno()

    server = lab.bound(40, receiver)
    lab.wait_rts(40, RTS_FLAGS["RECEIVING"])  # the receiver first
    client = lab.bound(41, sender, lab.vm.process(40).endpoint)
    server.wait_line("one")
    client.tell()
    endpoint = lab.vm.process(41).endpoint
    assert server.result() == ([OK, OK], 2, 7, endpoint)
    assert client.result() == ([OK, OK], OK)


@covers("mnx_send_T", "OK")
@covers("mnx_receive_T", "OK")
def test_timed_calls_go_through_in_time(lab):
    def receiver(me):
        m = message()
        return mnx_receive_T(ANY, m, TIME_MS), m.m_type

    def sender(me, to):
        return mnx_send_T(to, message(m_type=9), TIME_MS)

    server = lab.bound(40, receiver)
    client = lab.bound(41, sender, lab.vm.process(40).endpoint)
    assert client.result() == OK
    assert server.result() == (OK, 9)


@covers("mnx_sendrec", "OK")
@covers("mnx_rcvrqst", "OK")
@covers("mnx_reply", "OK")
def test_a_call_is_answered_into_the_same_message(lab):
    def client(me, to):
        m = message(m_type=10)
        return mnx_sendrec(to, m), m.m_type, m.m_source

    server = lab.bound(2, lambda me: respond(me, mnx_rcvrqst, mnx_reply))
    caller = lab.bound(41, client, 2)
    assert caller.result() == (OK, 11, 2)
    assert server.result()[0][1] == 10


@covers("mnx_sendrec_T", "OK")
@covers("mnx_rcvrqst_T", "OK")
@covers("mnx_reply_T", "OK")
def test_a_timed_call_is_answered(lab):
    def client(me, to):
        m = message(m_type=20)
        return mnx_sendrec_T(to, m, TIME_MS), m.m_type

    def serve(me):
        return respond(me, lambda m: mnx_rcvrqst_T(m, TIME_MS), lambda to, m: mnx_reply_T(to, m, TIME_MS))

    server = lab.bound(2, serve)
    assert lab.bound(41, client, 2).result() == (OK, 21)
    server.result()


def test_a_call_can_be_served_with_plain_receive_and_send(lab):
    def client(me, to):
        m = message(m_type=1)
        return [(mnx_sendrec(to, m), m.m_type) for _ in range(3)]

    server = lab.bound(2, lambda me: respond(me, lambda m: mnx_receive(ANY, m), mnx_send, turns=3))
    assert lab.bound(41, client, 2).result() == [(OK, 2), (OK, 3), (OK, 4)]
    server.result()


def test_rcvrqst_leaves_plain_messages_and_notifications_where_they_are(lab):
    def serve(me):
        m = message()
        me.hear()
        seen = [respond(me, mnx_rcvrqst, mnx_reply)[0][1]]
        for _ in range(2):
            assert mnx_receive(ANY, m) == OK
            seen.append(m.m_type)
        return seen

    server = lab.bound(2, serve)
    lab.bound(3, lambda me: stay(me, [mnx_notify(2)])).wait_line("done")
    lab.bound(40, lambda me: mnx_send(2, message(m_type=5)))
    lab.wait_rts(40, RTS_FLAGS["SENDING"])
    lab.bound(41, lambda me: mnx_sendrec(2, message(m_type=6)))
    lab.wait_rts(41, RTS_FLAGS["SENDING"])
    server.tell()
    assert server.result() == [6, NOTIFY_FROM(3), 5]


def test_senders_are_received_in_the_order_they_came(lab):
    def receiver(me):
        m, seen = message(), []
        me.hear()
        for _ in range(4):
            assert mnx_receive(ANY, m) == OK
            seen.append(m.m_type)
        return seen

    server = lab.bound(2, receiver)
    for p_nr in (43, 41, 44, 42):
        send = mnx_send if p_nr % 2 else mnx_sendrec
        lab.bound(p_nr, lambda me, send=send, p_nr=p_nr: send(2, message(m_type=p_nr)))
        lab.wait_rts(p_nr, RTS_FLAGS["SENDING"])
    server.tell()
    assert server.result() == [43, 41, 44, 42]


def test_a_sender_waits_until_its_turn_with_a_chosen_source(lab):
    def receiver(me, first, second):
        m = message()
        me.hear()
        assert mnx_receive(second, m) == OK
        types = [m.m_type]
        assert mnx_receive(first, m) == OK
        return [*types, m.m_type]

    one = lab.bound(40, lambda me: mnx_send(2, message(m_type=1)) if me.hear() else None)
    two = lab.bound(41, lambda me: mnx_send(2, message(m_type=2)) if me.hear() else None)
    server = lab.bound(2, receiver, lab.vm.process(40).endpoint, lab.vm.process(41).endpoint)
    one.tell("go")
    lab.wait_rts(40, RTS_FLAGS["SENDING"])
    two.tell("go")
    lab.wait_rts(41, RTS_FLAGS["SENDING"])
    server.tell()
    assert server.result() == [2, 1]


@covers("mnx_notify", "OK")
def test_a_notification_waits_for_the_next_receive_and_says_who_and_when(lab):
    def receiver(me):
        m = message()
        me.hear()
        code = mnx_receive(ANY, m)
        return code, m.m_source, m.m_type, m.m9_t1.tv_sec > 1_000_000_000, mnx_receive_T(ANY, m, TIMEOUT_NOWAIT)

    server = lab.bound(2, receiver)
    lab.bound(5, lambda me: stay(me, [mnx_notify(2), mnx_notify(2), mnx_errno()])).wait_line("done")
    server.tell()
    assert server.result() == (OK, 5, NOTIFY_FROM(5), True, EMOLAGAIN)  # two of them were one


def test_a_notification_wakes_a_waiting_receiver(lab):
    server = lab.bound(2, lambda me, m: (mnx_receive(ANY, m), m.m_type), message())
    lab.wait_rts(2, RTS_FLAGS["RECEIVING"])
    lab.bound(50, lambda me: mnx_notify(2)).result()
    assert server.result() == (OK, NOTIFY_FROM(50))


def test_a_notification_of_another_is_not_delivered_to_a_chosen_source(lab):
    def receiver(me):
        m = message()
        me.hear()
        return mnx_receive_T(7, m, TIMEOUT_NOWAIT), mnx_receive_T(6, m, TIMEOUT_NOWAIT), m.m_source

    lab.bound(7, lambda me: me.hear())
    server = lab.bound(2, receiver)
    lab.bound(6, lambda me: stay(me, [mnx_notify(2)])).wait_line("done")
    server.tell()
    assert server.result() == (EMOLAGAIN, OK, 6)


@covers("mnx_ntfy_value", "OK")
def test_values_of_notifications_are_collected_until_they_are_received(lab):
    def receiver(me):
        m = message()
        me.hear()
        return mnx_receive(ANY, m), m.m9_l1, m.m_source

    server = lab.bound(2, receiver)
    lab.bound(5, lambda me: stay(me, [mnx_ntfy_value(SELF, 2, 1), mnx_ntfy_value(5, 2, 4)])).wait_line("done")
    server.tell()
    assert server.result() == (OK, 5, 5)


@covers("mnx_src_notify", "OK")
def test_a_notification_can_come_on_behalf_of_another_process_number(lab):
    server = lab.bound(2, lambda me, m: (mnx_receive(ANY, m), m.m_source, m.m_type), message())
    assert lab.bound(5, lambda me: mnx_src_notify(7, 2)).result() == OK
    assert server.result() == (OK, 7, NOTIFY_FROM(7))


@covers("mnx_hdw_notify", "OK")
def test_the_hardware_notifies_without_being_bound(lab):
    server = lab.bound(2, lambda me, m: (mnx_receive(ANY, m), m.m_source), message())
    assert mnx_hdw_notify(lab.vmid, 2) == OK
    assert server.result() == (OK, HARDWARE)


@covers("mnx_relay", "OK")
def test_a_relayed_request_is_answered_by_the_third_party_as_its_clients_own(lab):
    def server(me):
        m = message()
        assert mnx_rcvrqst(m) == OK
        return m.m_source, mnx_relay(3, m)

    def client(me):
        m = message(m_type=1)
        return mnx_sendrec(2, m), m.m_type, m.m_source

    second = lab.bound(3, lambda me: respond(me, mnx_rcvrqst, mnx_reply))
    first = lab.bound(2, server)
    caller = lab.bound(41, client)
    endpoint = lab.vm.process(41).endpoint
    assert first.result() == (endpoint, OK)
    assert second.result() == [(endpoint, 1)]
    assert caller.result() == (OK, 2, 3)


@covers("mnx_wakeup", "OK", "EMOLDSTDIED", "EMOLENDPOINT", "EMOLVMNOTRUN")
def test_a_wakeup_ends_a_receive_and_is_remembered_by_one_who_does_not_wait(lab):
    def receiver(me):
        m = message()
        codes = [mnx_receive(ANY, m)]
        me.say("woken")
        me.hear()
        return [*codes, mnx_receive(ANY, m), mnx_receive_T(ANY, m, TIMEOUT_NOWAIT)]

    server = lab.bound(2, receiver)
    lab.wait_rts(2, RTS_FLAGS["RECEIVING"])
    assert mnx_wakeup(lab.vmid, 2) == OK
    server.wait_line("woken")
    assert mnx_wakeup(lab.vmid, 2) == OK
    server.tell()
    assert server.result() == [EMOLWOKENUP, EMOLWOKENUP, EMOLAGAIN]
    assert mnx_wakeup(lab.vmid, 9) == EMOLDSTDIED
    assert mnx_wakeup(lab.vmid, ANY) == EMOLENDPOINT
    assert mnx_wakeup(lab.vmid + 1, 2) == EMOLVMNOTRUN


def test_calls_that_would_wait_in_a_circle_are_refused(lab):
    second = lab.bound(3, lambda me: me.hear() and mnx_sendrec(2, message()))
    lab.bound(2, lambda me: mnx_sendrec(3, message()))
    lab.wait_rts(2, RTS_FLAGS["SENDING"])
    second.tell("go")
    assert second.result() == EMOLLOCKED


def test_an_answer_that_comes_too_late_does_not_answer_the_next_call(lab):
    def client(me):
        m = message(m_type=1)
        codes = [mnx_sendrec_T(2, m, 20)]
        me.say("timed out")
        m.m_type = 2
        return [*codes, mnx_sendrec(2, m), m.m_type]

    def server(me):
        first, second = message(), message()
        assert mnx_rcvrqst(first) == OK
        me.hear()
        late = mnx_reply(first.m_source, first)
        me.say("late")
        assert mnx_rcvrqst(second) == OK
        return late, mnx_reply(second.m_source, message(m_type=22))

    serving = lab.bound(2, server)
    caller = lab.bound(41, client)
    caller.wait_line("timed out")
    serving.tell()
    serving.wait_line("late")
    assert caller.result() == [EMOLTIMEDOUT, OK, 22]
    assert serving.result() == (EMOLPROCSTS, OK)


def test_a_drvs_message_can_be_used_in_place_of_the_guides(lab):
    def client(me):
        m = drvs.Message(3, m1_i1=4)
        return mnx_sendrec(2, m), m.type, m.source

    def serve(me):
        m = drvs.Message()
        assert mnx_rcvrqst(m) == OK
        m.type += 1
        return m.is_request, mnx_reply(m.source, m)

    server = lab.bound(2, serve)
    assert lab.bound(41, client).result() == (OK, 4, 2)
    assert server.result() == (True, OK)


def test_any_buffer_of_64_bytes_can_be_a_message(lab):
    def serve(me):
        buffer = bytearray(64)
        return mnx_receive(ANY, buffer), message.from_buffer(buffer).m_type

    server = lab.bound(2, serve)
    assert lab.bound(41, lambda me: mnx_send(2, ctypes.pointer(message(m_type=6)))).result() == OK
    assert server.result() == (OK, 6)
