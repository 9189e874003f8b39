"""The text of every file of the view, in the columns of the guide's chapter 7; what is ours stands behind what is its.

words       names and numbers, so that nobody's name can break a line
of_node     info, nodes, NODE/info, NODE/stats
of_proxies  proxies/info, proxies/procs
of_vm       VM/info, VM/procs, VM/stats

Plain functions from records to text: they ask nobody.
"""
