"""Notifications never wait: three that meet before they are received become one, arguments ORed. Needs `drvs up`."""

import drvs

if __name__ == "__main__":
    with drvs.connect().create_vm("events") as vm, vm.bind(slot=1) as alarm, vm.bind(slot=2) as me:
        for bit in (1, 2, 4):
            alarm.notify(me.id, bit)
        event = me.receive(timeout=5)
        print(f"notification from {event.p_nr}: {event.m9_l1}")
        try:
            me.receive(timeout=0)
        except drvs.WouldBlock:
            print("no other")
